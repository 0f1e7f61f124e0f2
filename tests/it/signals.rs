//! Being stopped: politely, rudely and repeatedly, in every stage. Nothing survives us, no backup looks
//! better than it is, and the next run works.

mod hold;
mod killed;
mod repeated;
mod terminated;
