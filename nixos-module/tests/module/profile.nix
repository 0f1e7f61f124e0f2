# The host's profile, `hetzner-vps.nix`.
{ lib, harness }:
let
  inherit (harness)
    default
    evaluate
    failed
    service
    settingsOf
    timer
    ;
in
{
  "the profile is what the defaults are" = {
    expr =
      let
        config = evaluate [ ../../hetzner-vps.nix ];
      in
      {
        settings = settingsOf config;
        service = (service config).serviceConfig;
        timer = (timer config).timerConfig;
        failed = failed config ++ config.warnings;
      };
    expected = {
      settings = settingsOf default;
      service = (service default).serviceConfig;
      timer = (timer default).timerConfig;
      failed = [ ];
    };
  };
  "the profile defines nothing of the pod" = {
    expr = builtins.attrNames (evaluate [ ../../hetzner-vps.nix ]).systemd.services;
    expected = [ "opencode-backup" ];
  };
  "the profile yields" = {
    expr =
      let
        config = evaluate [
          ../../hetzner-vps.nix
          {
            services.opencode-backup.settings = {
              datasets.falkordb.max_data_age = "2d";
              retention.days = 60;
            };
          }
        ];
      in
      {
        inherit ((settingsOf config).datasets.falkordb) path max_data_age;
        datasets = builtins.attrNames (settingsOf config).datasets;
        inherit ((settingsOf config).retention) days;
      };
    expected = {
      path = "containers/falkordb";
      max_data_age = "2d";
      datasets = [
        "falkordb"
        "valkey"
      ];
      days = 60;
    };
  };
  "without a timer on the host, the profile has none" = {
    expr =
      (evaluate [
        ../../hetzner-vps.nix
        { services.opencode-backup.timerConfig = null; }
      ]).systemd.timers;
    expected = { };
  };
  "one key of the timer on the host leaves the profile's others" = {
    expr =
      (timer (evaluate [
        ../../hetzner-vps.nix
        { services.opencode-backup.timerConfig.OnCalendar = "daily"; }
      ])).timerConfig;
    expected = {
      OnCalendar = "daily";
      Persistent = "true";
    };
  };
  "one key of a dataset on the host leaves the profile's others" = {
    expr =
      (settingsOf (evaluate [
        ../../hetzner-vps.nix
        {
          services.opencode-backup.settings.datasets = {
            valkey.check = [ "true" ];
            notes = {
              path = "notes";
              format = "files";
            };
          };
        }
      ])).datasets;
    expected = lib.recursiveUpdate (settingsOf default).datasets {
      valkey.check = [ "true" ];
      notes = {
        enable = true;
        path = "notes";
        format = "files";
        max_data_age = "24h";
        max_shrink = "50%";
      };
    };
  };
}
