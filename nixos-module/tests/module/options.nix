# Every option, changed.
{ lib, harness }:
let
  inherit (harness)
    changed
    evaluate
    everyOption
    everySetting
    failed
    of
    service
    settingsOf
    timer
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
        inherit (config.systemd.tmpfiles) rules;
        inherit (config.environment) etc systemPackages;
        inherit (config.users) users groups;
        inherit (config) assertions warnings;
      };
    expected = {
      services = { };
      timers = { };
      rules = [ ];
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
      inherit (changed.systemd.tmpfiles) rules;
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
        rules = wanted.tmpfiles;
        users = { };
        groups = { };
        failed = [ ];
      };
  };
  "every setting is written" = {
    expr = lib.filterAttrsRecursive (_: value: value != null) (settingsOf changed);
    expected = everySetting;
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
      "-/run/agenix/memory"
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
  "one dataset replaces the default ones, as in the file" = {
    expr =
      builtins.attrNames
        (settingsOf (of {
          settings.datasets.notes = {
            path = "notes";
            format = "files";
          };
        })).datasets;
    expected = [ "notes" ];
  };
  "keys that the module does not know reach the file, for the binary to judge" = {
    expr =
      (settingsOf (of {
        settings.remote.not_known_here = [ 1 ];
      })).remote.not_known_here;
    expected = [ 1 ];
  };
  "without an export, nothing below /root is seen" = {
    expr =
      (service (of {
        settings.export.enable = false;
      })).serviceConfig
        ? BindReadOnlyPaths;
    expected = false;
  };
}
