# `drill.enable`: a unit and a timer of its own.
{ lib, harness }:
let
  inherit (harness)
    check
    checked
    default
    evaluate
    failed
    of
    tmpfiles
    units
    with'
    ;

  drilling =
    ours:
    with' (
      lib.foldl lib.recursiveUpdate { drill.enable = true; } [
        checked
        ours
      ]
    );
  plain = drilling { } { };
  service = config: config.systemd.services.opencode-backup-drill;
  timer = config: config.systemd.timers.opencode-backup-drill;
  names = list: map (package: package.name) list;
in
{
  "no drill, no unit of it" = {
    expr = {
      services = builtins.attrNames default.systemd.services;
      timers = builtins.attrNames default.systemd.timers;
    };
    expected = {
      services = [ "opencode-backup" ];
      timers = [ "opencode-backup" ];
    };
  };
  "the drill's units are those of units.nix" = {
    expr = {
      Service = (service plain).serviceConfig;
      inherit ((service plain).unitConfig) Description Documentation;
      Timer = (timer plain).timerConfig;
      tmpfiles = tmpfiles plain;
      failed = failed plain ++ plain.warnings;
    };
    expected =
      let
        wanted = units {
          program = "/nix/store/00000000000000000000000000000000-opencode-backup/bin/opencode-backup";
          drill.checks = [ check ];
        };
      in
      {
        inherit (wanted.drill.service) Service;
        inherit (wanted.drill.service.Unit) Description Documentation;
        inherit (wanted.drill.timer) Timer;
        inherit (wanted) tmpfiles;
        failed = [ ];
      };
  };
  "the backup's unit is as it is without a drill" = {
    expr = plain.systemd.services.opencode-backup.serviceConfig;
    expected = default.systemd.services.opencode-backup.serviceConfig;
  };
  "it holds no capability, and nothing else may be written than its scratch directory" = {
    expr =
      let
        it = (service plain).serviceConfig;
      in
      {
        inherit (it)
          User
          CapabilityBoundingSet
          ProtectSystem
          CacheDirectory
          ExecStart
          ;
        more = map (key: it ? ${key}) [
          "AmbientCapabilities"
          "ReadWritePaths"
          "StateDirectory"
          "SupplementaryGroups"
        ];
      };
    expected = {
      User = "opencode";
      CapabilityBoundingSet = "";
      ProtectSystem = "strict";
      CacheDirectory = "opencode-backup";
      ExecStart = "/nix/store/00000000000000000000000000000000-opencode-backup/bin/opencode-backup drill --scratch /var/cache/opencode-backup";
      more = [
        false
        false
        false
        false
      ];
    };
  };
  "it waits for a backup that is under way, the secrets and the network, not for the pod" = {
    expr = { inherit ((service plain).unitConfig) After Wants; };
    expected = {
      After = "opencode-backup.service sops-install-secrets.service network-online.target";
      Wants = "network-online.target";
    };
  };
  "a check finds a shell and a server" = {
    expr = {
      path = names (service plain).path;
      another = names (service (drilling { drill.packages = [ ]; } { })).path;
      inherit (service plain) restartIfChanged wantedBy;
    };
    expected = {
      path = [
        "btrfs-progs"
        "rclone"
        "util-linux"
        "bash"
        "valkey"
      ];
      another = [
        "btrfs-progs"
        "rclone"
        "util-linux"
        "bash"
      ];
      restartIfChanged = false;
      wantedBy = [ ];
    };
  };
  "a check below /root is seen, and nothing else there" = {
    expr =
      (service (
        drilling {
          settings.datasets.notes.check = [
            "/root/drill/notes"
            "{dir}"
          ];
        } { }
      )).serviceConfig.BindReadOnlyPaths;
    expected = [ "-/root/drill" ];
  };
  "every month unless it is said otherwise, and missed ticks are made up for" = {
    expr = {
      inherit ((timer plain).timerConfig) OnCalendar Persistent;
      inherit (timer plain) wantedBy;
      another = (timer (drilling { drill.timerConfig.OnCalendar = "Sun 03:00"; } { })).timerConfig;
      none = builtins.attrNames (drilling { drill.timerConfig = null; } { }).systemd.timers;
    };
    expected = {
      OnCalendar = "*-*-01 03:00:00";
      Persistent = "true";
      wantedBy = [ "timers.target" ];
      another = {
        OnCalendar = "Sun 03:00";
        Persistent = "true";
      };
      none = [ "opencode-backup" ];
    };
  };
  "what happens when it fails is the host's to say, and every key of ours yields" = {
    expr =
      let
        config = drilling { } {
          systemd.services.opencode-backup-drill.onFailure = [ "mail@%n.service" ];
          systemd.services.opencode-backup-drill.serviceConfig.PrivateUsers = false;
          systemd.timers.opencode-backup-drill.timerConfig.OnCalendar = "daily";
        };
      in
      {
        inherit ((service config).unitConfig) OnFailure;
        ours = (service plain).unitConfig ? OnFailure;
        inherit ((service config).serviceConfig) PrivateUsers ProtectSystem;
        inherit ((timer config).timerConfig) OnCalendar;
      };
    expected = {
      OnFailure = "mail@%n.service";
      ours = false;
      PrivateUsers = false;
      ProtectSystem = "strict";
      OnCalendar = "daily";
    };
  };
  "podman is asked for by name" = {
    expr =
      let
        config = drilling { drill.podman = true; } { virtualisation.podman.enable = true; };
      in
      {
        inherit ((service config).serviceConfig) SupplementaryGroups;
        inherit ((service config).unitConfig) After Wants;
        path = lib.last (names (service config).path);
        failed = failed config;
      };
    expected = {
      SupplementaryGroups = [ "podman" ];
      After = "opencode-backup.service sops-install-secrets.service network-online.target podman.socket";
      Wants = "network-online.target podman.socket";
      path = "podman";
      failed = [ ];
    };
  };
  "a check of a dataset that is switched off is no check" = {
    expr =
      let
        config = drilling { settings.datasets.notes.enable = false; } { };
      in
      map (lib.hasPrefix "services.opencode-backup.drill.enable: no dataset has a `check`") (
        failed config
      );
    expected = [ true ];
  };
  "on the host's profile a check is all that there is to say" = {
    expr =
      let
        config = evaluate [
          ../../hetzner-vps.nix
          {
            services.opencode-backup = {
              drill.enable = true;
              settings.datasets.valkey = { inherit check; };
            };
          }
        ];
      in
      {
        datasets = builtins.attrNames config.services.opencode-backup.settings.datasets;
        inherit (config.services.opencode-backup.settings.datasets.valkey) path;
        failed = failed config;
      };
    expected = {
      datasets = [
        "falkordb"
        "valkey"
      ];
      path = "containers/valkey";
      failed = [ ];
    };
  };
  "a drill without a check is refused, and the options that would do are named" = {
    expr =
      let
        message = lib.concatStrings (
          failed (of {
            drill.enable = true;
          })
        );
      in
      map (name: lib.hasInfix "services.opencode-backup.settings.datasets.${name}.check" message) [
        "falkordb"
        "valkey"
        "notes"
      ];
    expected = [
      true
      true
      false
    ];
  };
}
