# A host that only says `enable = true;`.
{ lib, harness }:
let
  inherit (harness)
    default
    failed
    optionNames
    service
    settingsOf
    timer
    tmpfiles
    units
    withoutNulls
    written
    ;

  binaryDefaults = builtins.fromJSON (builtins.readFile ../defaults.json);
in
{
  "the defaults are the binary's" = {
    expr = lib.recursiveUpdate (settingsOf default) {
      export.command = [ "python3" ] ++ builtins.tail (settingsOf default).export.command;
    };
    expected = withoutNulls binaryDefaults;
  };
  "every key that the binary has is an option" = {
    expr =
      let
        paths =
          prefix: value:
          if builtins.isAttrs value then
            lib.concatMap (name: paths (prefix ++ [ name ]) value.${name}) (builtins.attrNames value)
          else
            [ (lib.concatStringsSep "." prefix) ];
        # One dataset stands for all.
        generic = binaryDefaults // {
          datasets."<name>" = binaryDefaults.datasets.falkordb;
        };
      in
      builtins.filter (path: !builtins.elem "services.opencode-backup.settings.${path}" optionNames) (
        paths [ ] generic
      );
    expected = [ ];
  };
  "python is absolute and has b2sdk" = {
    expr = builtins.head (settingsOf default).export.command;
    expected = "/nix/store/00000000000000000000000000000000-python3-b2sdk/bin/python3";
  };
  "by default nothing fails and nothing is warned of" = {
    expr = failed default ++ default.warnings;
    expected = [ ];
  };
  "the units are those of units.nix" = {
    expr = {
      Service = (service default).serviceConfig;
      inherit ((service default).unitConfig) RequiresMountsFor Description Documentation;
      Timer = (timer default).timerConfig;
      tmpfiles = tmpfiles default;
    };
    expected =
      let
        wanted = units {
          program = "/nix/store/00000000000000000000000000000000-opencode-backup/bin/opencode-backup";
          exportCommand = (settingsOf default).export.command;
        };
      in
      {
        inherit (wanted.service) Service;
        inherit (wanted.service.Unit) RequiresMountsFor Description Documentation;
        inherit (wanted.timer) Timer;
        inherit (wanted) tmpfiles;
      };
  };
  "it runs after the pod, the secrets that a unit installs, and the network" = {
    expr = { inherit ((service default).unitConfig) After Wants; };
    expected = {
      After = "opencode-memory-pod.service sops-install-secrets.service network-online.target";
      Wants = "network-online.target";
    };
  };
  "what is NixOS's alone" = {
    expr = {
      inherit (service default) restartIfChanged wantedBy;
      path = map (package: package.name) (service default).path;
      timer = (timer default).wantedBy;
    };
    expected = {
      restartIfChanged = false;
      wantedBy = [ ];
      path = [
        "btrfs-progs"
        "rclone"
        "util-linux"
      ];
      timer = [ "timers.target" ];
    };
  };
  "a user of the system's is made" = {
    expr = {
      inherit (default.users.users.opencode) isSystemUser group;
      groups = builtins.attrNames default.users.groups;
    };
    expected = {
      isSystemUser = true;
      group = "opencode";
      groups = [ "opencode" ];
    };
  };
  "the command is at hand and the file is where both read it" = {
    expr = {
      packages = map (package: package.name) default.environment.systemPackages;
      etc = builtins.attrNames default.environment.etc;
    };
    expected = {
      packages = [ "opencode-backup" ];
      etc = [ "opencode-backup/config.toml" ];
    };
  };
  "what is written is the settings without nulls" = {
    expr = (written default).script;
    expected =
      let
        content = builtins.toJSON (settingsOf default);
        file = "opencode-backup.toml-${builtins.hashString "sha256" content}";
        path = "/nix/store/00000000000000000000000000000000-${file}";
      in
      ''
        if ! /nix/store/00000000000000000000000000000000-opencode-backup/bin/opencode-backup --log stderr --config ${path} config > effective; then
          echo "services.opencode-backup.settings: the configuration is refused, see above (the lines are those of ${path})" >&2
          exit 1
        fi
        cp ${path} "$out"
      '';
  };
}
