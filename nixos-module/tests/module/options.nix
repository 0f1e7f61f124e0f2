# Every option, changed.
{ lib, harness }:
let
  inherit (harness)
    changed
    default
    evaluate
    everyOption
    everySetting
    failed
    of
    service
    settingsOf
    timer
    tmpfiles
    units
    ;
in
{
  "disabled, it defines nothing" = {
    expr =
      let
        config = evaluate [ ../../default.nix ];
      in
      {
        services = config.systemd.services;
        timers = config.systemd.timers;
        tmpfiles = tmpfiles config;
        inherit (config.environment) etc systemPackages;
        inherit (config.users) users groups;
        inherit (config) assertions warnings;
      };
    expected = {
      services = { };
      timers = { };
      tmpfiles = { };
      etc = { };
      systemPackages = [ ];
      users = { };
      groups = { };
      assertions = [ ];
      warnings = [ ];
    };
  };
  "with every option changed, the units are those of units.nix" = {
    expr = {
      Service = (service changed).serviceConfig;
      Timer = (timer changed).timerConfig;
      DrillService = changed.systemd.services.opencode-backup-drill.serviceConfig;
      DrillTimer = changed.systemd.timers.opencode-backup-drill.timerConfig;
      tmpfiles = tmpfiles changed;
      inherit (changed.users) users groups;
      failed = failed changed;
    };
    expected =
      let
        wanted = units {
          program = "/nix/store/11111111111111111111111111111111-another/bin/opencode-backup";
          user = "memory";
          group = "keepers";
          environmentFile = "/run/keys/memory.env";
          subvolume = "/srv/memory";
          snapshotDir = "/srv/snapshots";
          stateFile = "/var/lib/memory/verdict.json";
          textfile = "/var/lib/prometheus-node-exporter/opencode-backup.prom";
          exportCommand = null;
          writablePaths = [ "/var/cache/graphiti" ];
          readablePaths = [ "/root/tools/venv" ];
          manageSnapshotDir = false;
          timer = everyOption.timerConfig;
          drill = {
            checks = [ everySetting.datasets.graph.check ];
            podman = true;
            timer = everyOption.drill.timerConfig;
          };
        };
      in
      {
        inherit (wanted.service) Service;
        inherit (wanted.timer) Timer;
        DrillService = wanted.drill.service.Service;
        DrillTimer = wanted.drill.timer.Timer;
        inherit (wanted) tmpfiles;
        users = { };
        groups = { };
        failed = [ ];
      };
  };
  "every setting is written" = {
    expr = settingsOf changed;
    expected = lib.recursiveUpdate everySetting {
      datasets = {
        falkordb = (settingsOf default).datasets.falkordb // {
          enable = false;
        };
        valkey = (settingsOf default).datasets.valkey // {
          enable = false;
        };
      };
    };
  };
  "another environment file is also the shell's" = {
    expr =
      let
        config = of { environmentFile = "/run/agenix/memory"; };
      in
      [
        (settingsOf config).env_file
        (service config).serviceConfig.EnvironmentFile
      ];
    expected = [
      "/run/agenix/memory"
      [ "-/run/agenix/memory" ]
    ];
  };
  "another python is written into the command" = {
    expr =
      (settingsOf (of {
        export.python = everyOption.package;
      })).export.command;
    expected = [
      "/nix/store/11111111111111111111111111111111-another/bin/python3"
      "/root/.opencode/graphiti/memory_manager.py"
      "export"
    ];
  };
  "no timer" = {
    expr = (of { timerConfig = null; }).systemd.timers;
    expected = { };
  };
  "one key of the timer leaves the others" = {
    expr =
      (timer (of {
        timerConfig.OnCalendar = "hourly";
      })).timerConfig;
    expected = {
      OnCalendar = "hourly";
      Persistent = "true";
    };
  };
  "one key of a default dataset leaves its other keys and the other dataset" = {
    expr =
      (settingsOf (of {
        settings.datasets.valkey.check = [ "true" ];
      })).datasets;
    expected = lib.recursiveUpdate (settingsOf default).datasets {
      valkey.check = [ "true" ];
    };
  };
  "a default dataset that is defined in full does not drop the other one" = {
    expr =
      (settingsOf (of {
        settings.datasets.valkey = {
          path = "valkey";
          format = "files";
          check = [ "true" ];
        };
      })).datasets;
    expected = (settingsOf default).datasets // {
      valkey = {
        enable = true;
        path = "valkey";
        format = "files";
        max_data_age = "24h";
        max_shrink = "50%";
        check = [ "true" ];
      };
    };
  };
  "a dataset of the host's own is added to the default ones" = {
    expr =
      builtins.attrNames
        (settingsOf (of {
          settings.datasets.notes = {
            path = "notes";
            format = "files";
          };
        })).datasets;
    expected = [
      "falkordb"
      "notes"
      "valkey"
    ];
  };
  "a disabled dataset stays in the file, and the program disables it" = {
    expr =
      (settingsOf (of {
        settings.datasets.falkordb.enable = false;
      })).datasets;
    expected = lib.recursiveUpdate (settingsOf default).datasets {
      falkordb.enable = false;
    };
  };
  "keys that the module does not know reach the file, for the binary to judge" = {
    expr =
      (settingsOf (of {
        settings.remote.not_known_here = [ 1 ];
      })).remote.not_known_here;
    expected = [ 1 ];
  };
  "without an export, nothing below /root is seen, and no Python is in the closure" = {
    expr =
      let
        config = of { settings.export.enable = false; };
      in
      {
        binds = (service config).serviceConfig ? BindReadOnlyPaths;
        python = map (lib.hasInfix "-python3") [
          (builtins.toJSON (settingsOf config))
          (builtins.toJSON config.systemd.services)
          (builtins.toJSON (settingsOf default))
        ];
      };
    expected = {
      binds = false;
      python = [
        false
        false
        true
      ];
    };
  };
}
