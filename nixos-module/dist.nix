# The unit files for a distribution without Nix, by name: what `cargo xtask dist` writes.
#
# /usr/local, since they are installed by hand: /usr/bin is the package manager's, and the tools that
# these units find on PATH are the distribution's own.
import ./tests/render.nix (
  import ./units.nix {
    program = "/usr/local/bin/opencode-backup";
    drill = { };
  }
)
