# The unit files that the virtual machine boots: the ones of the module, with its defaults.
import ../../nixos-module/tests/render.nix (import ../../nixos-module/units.nix { })
