# The unit files for a distribution without Nix, by name: what `cargo xtask dist` writes.
#
# /usr/local, since they are installed by hand: /usr/bin is the package manager's. The keys are below
# /etc: nothing there decrypts them below /run at every boot.
import ./tests/render.nix (
  import ./units.nix {
    program = "/usr/local/bin/opencode-backup";
    environmentFile = "/etc/opencode-backup/opencode.env";
    drill = { };
  }
)
