# As much of NixOS as the module touches, for `lib.evalModules` where there is nothing but nixpkgs'
# `lib`.
#
# The options have NixOS's types, or stricter ones. What matters is imitated: `after = [ … ]` and
# the like define `unitConfig.After` at the usual priority, and a unit option is a list of lines as
# soon as one definition is a list.
{ lib }:
let
  inherit (lib) mkOption types;

  option = type: default: mkOption { inherit type default; };

  # Equal values, or all values as one list of lines: nixos/lib/systemd-unit-options.nix of nixpkgs,
  # compared in the formatting that it has since 2025. Until 2023 (nixpkgs 515c8fb59bc1) a mix of
  # lists and single values was an error.
  unitOption = lib.mkOptionType {
    name = "systemd option";
    merge =
      loc: defs:
      if lib.any (def: builtins.isList def.value) defs then
        lib.concatMap (def: lib.toList def.value) defs
      else
        lib.mergeEqualOption loc defs;
  };

  section = option (types.attrsOf unitOption) { };
  unitName = types.strMatching "[a-zA-Z0-9@%:_.\\-]+[.](service|socket|target|mount|timer|device)";
  unitNames = option (types.listOf unitName) [ ];

  unit =
    extra:
    types.attrsOf (
      types.submodule (
        { config, ... }:
        {
          options = {
            description = option types.str "";
            after = unitNames;
            wants = unitNames;
            requires = unitNames;
            onFailure = unitNames;
            wantedBy = unitNames;
            unitConfig = section;
          }
          // extra;
          config.unitConfig =
            lib.optionalAttrs (config.description != "") { Description = config.description; }
            // lib.mapAttrs (_: toString) (
              lib.filterAttrs (_: names: names != [ ]) {
                After = config.after;
                Wants = config.wants;
                Requires = config.requires;
                OnFailure = config.onFailure;
              }
            );
        }
      )
    );

  package = types.attrs;
in
{
  options = {
    assertions = option (types.listOf types.unspecified) [ ];
    warnings = option (types.listOf types.str) [ ];
    environment.systemPackages = option (types.listOf package) [ ];
    environment.etc = option (types.attrsOf (
      types.submodule { options.source = option types.unspecified null; }
    )) { };
    fileSystems = option (types.attrsOf (
      types.submodule { options.fsType = option types.str "auto"; }
    )) { };
    users.users = option (types.attrsOf (
      types.submodule {
        options = {
          isNormalUser = option types.bool false;
          isSystemUser = option types.bool false;
          group = option types.str "";
          description = option types.str "";
        };
      }
    )) { };
    users.groups = option (types.attrsOf (types.submodule { })) { };
    virtualisation.podman.enable = option types.bool false;
    virtualisation.podman.package = option package { name = "podman"; };
    # nixos/modules/system/boot/systemd/tmpfiles.nix, nixpkgs 046599161540.
    systemd.tmpfiles.settings = option (types.attrsOf (
      types.attrsOf (
        types.attrsOf (
          types.submodule (
            { name, ... }:
            {
              options = lib.genAttrs [ "mode" "user" "group" "age" ] (_: option types.str "-") // {
                type = option types.str name;
                argument = option types.str "";
              };
            }
          )
        )
      )
    )) { };
    systemd.services = option (unit {
      serviceConfig = section;
      environment = option (types.attrsOf types.str) { };
      path = option (types.listOf (types.either package types.str)) [ ];
      restartIfChanged = option types.bool true;
    }) { };
    systemd.timers = option (unit { timerConfig = section; }) { };
  };

  # `pkgs.formats.toml`'s type is nixpkgs'.
  config._module.args.pkgs =
    let
      fake = name: {
        type = "derivation";
        inherit name;
        outPath = "/nix/store/00000000000000000000000000000000-${name}";
        meta.mainProgram = name;
      };
    in
    {
      bash = fake "bash";
      btrfs-progs = fake "btrfs-progs";
      rclone = fake "rclone";
      util-linux = fake "util-linux";
      coreutils = fake "coreutils";
      redis = fake "redis";
      valkey = fake "valkey";
      python3 = fake "python3" // {
        withPackages =
          choose: fake (lib.concatStringsSep "-" ([ "python3" ] ++ choose { b2sdk = "b2sdk"; }));
      };
      callPackage = _: _: fake "opencode-backup";
      stdenv.buildPlatform.canExecute = _: true;
      stdenv.hostPlatform = { };
      runCommandLocal =
        name: env: script:
        fake name // { inherit script; } // env.passthru;
      formats.toml = _: {
        type =
          let
            value =
              with types;
              oneOf [
                bool
                int
                float
                str
                path
                (attrsOf value)
                (listOf value)
              ]
              // {
                description = "TOML value";
              };
          in
          value;
        # The path tells what was written, as in a real store.
        generate = name: value: fake "${name}-${builtins.hashString "sha256" (builtins.toJSON value)}";
      };
    };
}
