# What the tests share: a host with the module on it, and ways to look at what came out.
{ lib }:
rec {
  evaluate =
    modules:
    (lib.evalModules {
      class = "nixos";
      modules = [ (import ../stub.nix { inherit lib; }) ] ++ modules;
    }).config;

  # The module enabled, `services.opencode-backup` and the host's own configuration as given.
  with' =
    ours: more:
    evaluate [
      ../../default.nix
      { services.opencode-backup.enable = true; }
      { services.opencode-backup = ours; }
      more
    ];
  of = ours: with' ours { };

  default = of { };
  changed = with' everyOption { virtualisation.podman.enable = true; };
  inherit (import ./everything.nix) everySetting everyOption;

  # A dataset that a drill can try.
  check = [
    "sh"
    "-c"
    "true"
    "{dir}"
  ];
  checked.settings.datasets.notes = {
    path = "notes";
    format = "files";
    inherit check;
  };

  units = import ../../units.nix;

  service = config: config.systemd.services.opencode-backup;
  timer = config: config.systemd.timers.opencode-backup;
  written = config: config.environment.etc."opencode-backup/config.toml".source;
  # What the file says.
  settingsOf = config: (written config).settings;
  # As units.nix has the rules, without the fields that NixOS adds.
  tmpfiles =
    config:
    lib.mapAttrs (
      _:
      lib.mapAttrs (
        type:
        lib.filterAttrs (
          _: value:
          !builtins.elem value [
            "-"
            ""
            type
          ]
        )
      )
    ) (config.systemd.tmpfiles.settings.opencode-backup or { });
  failed =
    config: map (entry: entry.message) (builtins.filter (entry: !entry.assertion) config.assertions);

  withoutNulls =
    value:
    if builtins.isAttrs value then
      lib.mapAttrs (_: withoutNulls) (lib.filterAttrs (_: inner: inner != null) value)
    else
      value;

  # Every option's name, submodules' and datasets' (`<name>`) included.
  optionNames =
    let
      tree =
        (lib.evalModules {
          modules = [
            (import ../stub.nix { inherit lib; })
            ../../options.nix
          ];
        }).options.services.opencode-backup;
    in
    builtins.filter (name: !lib.hasInfix "_module" name) (
      map (option: option.name) (lib.optionAttrSetToDocList tree)
    );
}
