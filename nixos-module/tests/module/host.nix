# What a host sets itself, on the options where NixOS people look first.
{ lib, harness }:
let
  inherit (lib) mkForce;
  inherit (harness)
    default
    evaluate
    service
    timer
    with'
    ;
in
{
  "a host overrides any key of ours" = {
    expr =
      let
        config = with' { } {
          systemd.services.opencode-backup.serviceConfig = {
            Nice = 0;
            SystemCallFilter = [ "@system-service" ];
          };
          systemd.services.opencode-backup.unitConfig.RequiresMountsFor = [ "/elsewhere" ];
          systemd.services.opencode-backup.description = "Ours";
          systemd.timers.opencode-backup.timerConfig.OnCalendar = "daily";
        };
      in
      {
        inherit ((service config).serviceConfig) Nice SystemCallFilter User;
        inherit ((service config).unitConfig) RequiresMountsFor Description;
        inherit ((timer config).timerConfig) OnCalendar Persistent;
      };
    expected = {
      Nice = 0;
      SystemCallFilter = [ "@system-service" ];
      User = "opencode";
      RequiresMountsFor = [ "/elsewhere" ];
      Description = "Ours";
      OnCalendar = "daily";
      Persistent = "true";
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
      After = "opencode-memory-pod.service network-online.target";
      assertions = true;
    };
  };
}
