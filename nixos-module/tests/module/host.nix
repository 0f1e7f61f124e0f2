# What a host sets itself, on the options where NixOS people look first.
{ lib, harness }:
let
  inherit (lib) mkForce;
  inherit (harness)
    default
    evaluate
    everyOption
    failed
    service
    timer
    tmpfiles
    with'
    ;

  # Both services with all that they can have, and the same once more under a host that adds a line
  # to each list.
  ours = lib.recursiveUpdate everyOption { settings.export.enable = true; };
  services =
    more:
    let
      config = with' ours ({ virtualisation.podman.enable = true; } // more);
    in
    lib.mapAttrs (_: unit: unit.unitConfig // unit.serviceConfig) config.systemd.services;
  everyUnit = services { };
  unitNames = builtins.attrNames everyUnit;
  more = unit: lib.mapAttrs (_: _: [ "more" ]) (lib.filterAttrs (_: builtins.isList) unit);
  adding = services {
    systemd.services = lib.mapAttrs (_: unit: {
      unitConfig = builtins.intersectAttrs { RequiresMountsFor = null; } (more unit);
      serviceConfig = removeAttrs (more unit) [ "RequiresMountsFor" ];
    }) everyUnit;
  };
  # The keys of one unit that are lists in another, with the former's values.
  lists = unit: lib.filterAttrs (key: _: builtins.isList (unit.${key} or null));
in
{
  "a host replaces any single value of the module" = {
    expr =
      let
        config = with' { } {
          systemd.services.opencode-backup.serviceConfig.Nice = 0;
          systemd.services.opencode-backup.description = "Ours";
          systemd.timers.opencode-backup.timerConfig.OnCalendar = "daily";
          systemd.tmpfiles.settings.opencode-backup."/.snapshots".d.mode = "0700";
        };
      in
      {
        inherit ((service config).serviceConfig) Nice User;
        inherit ((service config).unitConfig) Description;
        inherit ((timer config).timerConfig) OnCalendar Persistent;
        tmpfiles = tmpfiles config;
      };
    expected = {
      Nice = 0;
      User = "opencode";
      Description = "Ours";
      OnCalendar = "daily";
      Persistent = "true";
      tmpfiles."/.snapshots".d = {
        mode = "0700";
        user = "opencode";
        group = "opencode";
      };
    };
  };
  "a host's lines are added to every list of the module, at its end" = {
    expr = map (name: lists everyUnit.${name} (adding.${name})) unitNames;
    expected = map (
      name: lib.mapAttrs (_: lines: lines ++ [ "more" ]) (lists everyUnit.${name} everyUnit.${name})
    ) unitNames;
  };
  "the lists that a host can add to" = {
    expr = lib.unique (
      lib.concatMap (name: builtins.attrNames (lists everyUnit.${name} everyUnit.${name})) unitNames
    );
    expected = [
      "AmbientCapabilities"
      "BindReadOnlyPaths"
      "CapabilityBoundingSet"
      "EnvironmentFile"
      "InaccessiblePaths"
      "ReadWritePaths"
      "RequiresMountsFor"
      "RestrictAddressFamilies"
      "SocketBindDeny"
      "SuccessExitStatus"
      "SystemCallFilter"
      "TemporaryFileSystem"
      "SupplementaryGroups"
    ];
  };
  "and replaces a list where it says so" = {
    expr =
      (service (
        with' { } {
          systemd.services.opencode-backup.serviceConfig.SystemCallFilter = mkForce [ "@basic-io" ];
        }
      )).serviceConfig.SystemCallFilter;
    expected = [ "@basic-io" ];
  };
  "a single line of a host's is added to a list, too" = {
    expr =
      (service (
        with' { } {
          systemd.services.opencode-backup.serviceConfig.ReadWritePaths = "/var/cache/x";
        }
      )).serviceConfig.ReadWritePaths;
    expected = [
      "-/.snapshots"
      "/var/cache/x"
    ];
  };
  "our lines come first, even where the host's module does" = {
    expr = {
      inherit
        ((service (evaluate [
          {
            systemd.services.opencode-backup.serviceConfig = {
              ReadWritePaths = "/var/cache/x";
              SystemCallFilter = [ "~@clock" ];
            };
          }
          ../../default.nix
          { services.opencode-backup.enable = true; }
        ])).serviceConfig
        )
        ReadWritePaths
        SystemCallFilter
        ;
    };
    expected = {
      ReadWritePaths = [
        "-/.snapshots"
        "/var/cache/x"
      ];
      SystemCallFilter = (service default).serviceConfig.SystemCallFilter ++ [ "~@clock" ];
    };
  };
  "a host has the user for something else, too" = {
    expr =
      let
        config = with' { } {
          users.users.opencode = {
            isSystemUser = true;
            description = "The assistant";
            group = "assistant";
          };
        };
      in
      {
        inherit (config.users.users.opencode) description group;
        failed = failed config;
      };
    expected = {
      description = "The assistant";
      group = "assistant";
      failed = [ ];
    };
  };
  "a host's own ordering adds to ours" = {
    expr =
      let
        config = with' { } {
          systemd.services.opencode-backup.after = [ "falkordb.service" ];
          systemd.services.opencode-backup.onFailure = [ "mail@%n.service" ];
        };
      in
      {
        after = lib.sort builtins.lessThan (lib.splitString " " (service config).unitConfig.After);
        inherit ((service config).unitConfig) OnFailure;
      };
    expected = {
      after = [
        "falkordb.service"
        "network-online.target"
        "opencode-memory-pod.service"
        "sops-install-secrets.service"
      ];
      OnFailure = "mail@%n.service";
    };
  };
  "and replaces it where it says so" = {
    expr =
      (service (with' { } { systemd.services.opencode-backup.after = mkForce [ "falkordb.service" ]; }))
      .unitConfig.After;
    expected = "falkordb.service";
  };
  "the module imported twice, by two paths, is one" = {
    expr =
      let
        config = evaluate [
          ../../.
          ../../default.nix
          ../../hetzner-vps.nix
        ];
      in
      {
        inherit ((service config).unitConfig) After;
        assertions = builtins.length config.assertions == builtins.length default.assertions;
      };
    expected = {
      After = "opencode-memory-pod.service sops-install-secrets.service network-online.target";
      assertions = true;
    };
  };
}
