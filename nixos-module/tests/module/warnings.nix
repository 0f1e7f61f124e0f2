# Warnings: snapshots that would lie on a tmpfs, a user that nobody makes.
{ lib, harness }:
let
  inherit (lib) hasInfix;
  inherit (harness)
    checked
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
  "a drill in memory is warned of, and not on a disk" = {
    expr =
      map
        (
          mounts:
          map (hasInfix "services.opencode-backup.drill.enable") (
            (with' (checked // { drill.enable = true; }) {
              fileSystems = mounts // {
                "/.snapshots" = { };
              };
            }).warnings
          )
        )
        [
          { "/".fsType = "tmpfs"; }
          {
            "/".fsType = "tmpfs";
            "/var/cache/opencode-backup" = { };
          }
          {
            "/".fsType = "tmpfs";
            "/var" = { };
          }
          { "/".fsType = "ext4"; }
        ];
    expected = [
      [ true ]
      [ ]
      [ ]
      [ ]
    ];
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
