//! Three capabilities and not one more: who holds which of them, and that nobody lends them to what somebody
//! else could have written.

mod children;
mod python;
mod run;
mod trust;

use std::process::Command;

use testbed::Bed;

/// As the unit's user, but with these capabilities: `-all,+fowner,…`.
fn as_user_with(bed: &Bed, caps: &str, args: &[&str]) -> Command {
    let whole = bed.as_user(args).expect("a command");
    let mut command = Command::new(whole.get_program());
    let mut next_is_caps = false;
    for word in whole.get_args() {
        command.arg(if next_is_caps { caps.as_ref() } else { word });
        next_is_caps = ["--inh-caps", "--ambient-caps"]
            .iter()
            .any(|flag| word == *flag);
    }
    command.env_clear().current_dir("/");
    for (name, value) in whole.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}
