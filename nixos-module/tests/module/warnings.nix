# Warnings: snapshots that would lie on a tmpfs, a user that nobody makes.
{ lib, harness }:
let
  inherit (lib) hasInfix;
  inherit (harness)
    of
    with'
    ;
in
{
  "snapshots on a tmpfs are warned of" = {
    expr = map (hasInfix "services.opencode-backup.settings.snapshot_dir") (
      (with' { } { fileSystems."/".fsType = "tmpfs"; }).warnings
    );
    expected = [ true ];
  };
  "not where the snapshots have a file system of their own, or one above" = {
    expr =
      lib.concatMap
        (
          ours:
          (with' ours.settings {
            fileSystems = ours.mounts // {
              "/".fsType = "tmpfs";
            };
          }).warnings
        )
        [
          {
            settings = { };
            mounts."/.snapshots" = { };
          }
          {
            settings.settings.snapshot_dir = "/persist/.snapshots";
            mounts."/persist" = { };
          }
        ];
    expected = [ ];
  };
  "a mount point of a similar name is none" = {
    expr = builtins.length (
      (with' { } {
        fileSystems."/".fsType = "tmpfs";
        fileSystems."/.snap" = { };
      }).warnings
    );
    expected = 1;
  };
  "nor where the root is a disk" = {
    expr = (with' { } { fileSystems."/".fsType = "btrfs"; }).warnings;
    expected = [ ];
  };
  "a user that nobody makes is warned of" = {
    expr = map (hasInfix "services.opencode-backup.user") (of { createUser = false; }).warnings;
    expected = [ true ];
  };
  "not where the host declares it" = {
    expr =
      (with' { createUser = false; } {
        users.users.opencode.isNormalUser = true;
      }).warnings;
    expected = [ ];
  };
}
