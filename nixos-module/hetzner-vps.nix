# The profile of the host this was made for, with every value of its design document written out.
#
# It sits beside the pod's definitions: in `hosts/hetzner-vps/opencode-memory.nix`,
#
#   imports = [ opencode-backup.nixosModules.hetzner-vps ];
#
# is all. It defines nothing of the pod; where `opencode-memory-pod.service` is not there, ordering
# after it does nothing. Each value yields to one that the host sets itself.
{ lib, ... }:
let
  inherit (lib) mkDefault;
  redis = path: {
    path = mkDefault path;
    format = mkDefault "redis";
    max_data_age = mkDefault "24h";
  };
in
{
  imports = [ ./default.nix ];

  services.opencode-backup = {
    enable = mkDefault true;
    user = mkDefault "opencode";
    group = mkDefault "opencode";
    environmentFile = mkDefault "/run/secrets/opencode.env";

    # As a whole: null on the host could not be merged with single keys.
    timerConfig = mkDefault {
      OnCalendar = "0/6:00:00";
      Persistent = true;
    };

    settings = {
      subvolume = mkDefault "/persist";
      snapshot_dir = mkDefault "/.snapshots";
      datasets.falkordb = redis "containers/falkordb";
      datasets.valkey = redis "containers/valkey";
      remote = {
        bucket = mkDefault "opencode-memory-backups";
        provider = mkDefault "Other";
        endpoint = mkDefault "s3.us-west-004.backblazeb2.com";
      };
      retention.days = mkDefault 30;
    };
  };
}
