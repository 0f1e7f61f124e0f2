# The NixOS module: `services.opencode-backup.enable = true;`.
#
# The units are those of `units.nix`. A host changes them where NixOS people look first, on
# `systemd.services.opencode-backup`: a single value has `mkDefault`'s priority, so a host's value
# replaces it. A list has the normal priority, so a host's list is added to it; `mkForce` replaces it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    any
    filter
    getExe
    hasPrefix
    mapAttrs
    mkBefore
    mkDefault
    mkIf
    optional
    optionalString
    optionals
    ;

  cfg = config.services.opencode-backup;
  settings = cfg.settings;
  here = "services.opencode-backup";

  # TOML has no null. Gone at every depth, also within lists.
  withoutNulls =
    value:
    if builtins.isAttrs value then
      mapAttrs (_: withoutNulls) (lib.filterAttrs (_: inner: inner != null) value)
    else if builtins.isList value then
      map withoutNulls (filter (inner: inner != null) value)
    else
      value;

  # The datasets that are stored. A disabled one is written to the file all the same: it stays
  # configured, and two of them are defaults of the program.
  datasets = lib.filterAttrs (_: dataset: dataset.enable) settings.datasets;
  written = withoutNulls settings;

  # Read by the very binary that will run, unless it cannot run here (a cross build).
  check = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
  file = (pkgs.formats.toml { }).generate "opencode-backup.toml" written;
  configFile = pkgs.runCommandLocal "opencode-backup-config.toml" { passthru.settings = written; } (
    optionalString check ''
      if ! ${getExe cfg.package} --log stderr --config ${file} config > effective; then
        echo "${here}.settings: the configuration is refused, see above (the lines are those of ${file})" >&2
        exit 1
      fi
    ''
    + ''
      cp ${file} "$out"
    ''
  );

  units = import ./units.nix {
    program = getExe cfg.package;
    inherit (cfg)
      user
      group
      environmentFile
      manageSnapshotDir
      writablePaths
      readablePaths
      ;
    inherit (settings) subvolume;
    snapshotDir = settings.snapshot_dir;
    stateFile = settings.report.state_file;
    textfile = settings.report.textfile;
    exportCommand = if settings.export.enable then settings.export.command else null;
    timer = cfg.timerConfig;
    drill =
      if cfg.drill.enable then
        {
          inherit checks;
          inherit (cfg.drill) podman;
          timer = cfg.drill.timerConfig;
        }
      else
        null;
  };

  # The commands of those datasets that have one.
  checks = filter (words: words != null && words != [ ]) (
    map (dataset: dataset.check) (builtins.attrValues datasets)
  );

  # The module's list comes first: the first line of SystemCallFilter= decides whether it is an
  # allow-list, and an empty string clears the lines before it.
  yielding = mapAttrs (_: value: if builtins.isList value then mkBefore value else mkDefault value);

  serviceOf = unit: {
    after = unit.Unit.After;
    wants = unit.Unit.Wants;
    unitConfig = yielding (
      removeAttrs unit.Unit [
        "After"
        "Wants"
      ]
    );
    serviceConfig = yielding unit.Service;
    # Switching to a new system must neither kill what is under way nor start it.
    restartIfChanged = false;
  };
  timerOf = unit: {
    wantedBy = unit.Install.WantedBy;
    unitConfig = yielding unit.Unit;
    timerConfig = yielding unit.Timer;
  };

  # The package brings its own; this is for one that does not (a plain `cargo build`).
  tools = [
    pkgs.btrfs-progs
    pkgs.rclone
    pkgs.util-linux
  ];

  # An option's name and its value, for a message.
  at = name: value: {
    option = "${here}.${name}";
    inherit value;
  };

  # The paths that end up in units, where a space separates, `%` is expanded and `:` divides.
  unitPaths = [
    (at "environmentFile" cfg.environmentFile)
    (at "settings.subvolume" settings.subvolume)
    (at "settings.snapshot_dir" settings.snapshot_dir)
    (at "settings.report.state_file" settings.report.state_file)
  ]
  ++ optional (settings.report.textfile != null) (
    at "settings.report.textfile" settings.report.textfile
  )
  ++ map (at "writablePaths") cfg.writablePaths
  ++ map (at "readablePaths") cfg.readablePaths
  ++ map (at "settings.export.command") (
    inHomes (optionals settings.export.enable settings.export.command)
  )
  ++ lib.concatLists (
    lib.mapAttrsToList (
      name: dataset:
      map (at "settings.datasets.${name}.check") (
        inHomes (optionals (cfg.drill.enable && dataset.check != null) dataset.check)
      )
    ) datasets
  );

  # The words of a command that are bound into a unit, since they lie where it sees nothing.
  inHomes = filter (
    word:
    any (home: hasPrefix home word) [
      "/home/"
      "/root/"
      "/run/user/"
    ]
  );

  secrets = [
    (at "environmentFile" cfg.environmentFile)
    (at "settings.env_file" settings.env_file)
  ];

  # Whether something is mounted at a directory or above it, the root aside.
  hasOwnFileSystem =
    directory:
    any (mountPoint: mountPoint == directory || hasPrefix "${mountPoint}/" directory) (
      builtins.attrNames config.fileSystems
    );
  rootIsMemory = (config.fileSystems."/".fsType or null) == "tmpfs";
  drillScratch = "/var/cache/opencode-backup";
in
{
  # One module, by whatever path it was imported.
  key = "opencode-backup";
  _class = "nixos";
  imports = [ ./options.nix ];

  config = mkIf cfg.enable {
    assertions =
      map (entry: {
        assertion = builtins.match "(/[A-Za-z0-9._@+=,~-]+)+" entry.value != null;
        message = ''
          ${entry.option}: "${entry.value}" must be an absolute path of letters, digits and . _ @ +
          = , ~ - without a "/" at the end: it is written into systemd units, where other characters
          have a meaning.
        '';
      }) unitPaths
      ++ map (entry: {
        assertion = !hasPrefix builtins.storeDir entry.value;
        message = ''
          ${entry.option}: "${entry.value}" is in the Nix store, which every user can read. Put the
          secret elsewhere (sops-nix and agenix decrypt below /run) and write its path as a string.
        '';
      }) secrets
      ++ [
        {
          assertion = settings.subvolume != settings.snapshot_dir;
          message = ''
            ${here}.settings.snapshot_dir: it must differ from ${here}.settings.subvolume (both are
            "${settings.subvolume}"), or snapshots would lie in what they are taken of.
          '';
        }
        {
          assertion = cfg.user != "root";
          message = ''
            ${here}.user: not root. As root, the export script would run with every right there is;
            as a user of its own it has none, and the backup has exactly the three capabilities that
            it needs.
          '';
        }
        {
          assertion = !cfg.drill.enable || checks != [ ];
          message = ''
            ${here}.drill.enable: no dataset has a `check`, so that a drill would prove nothing. Set
            ${lib.concatMapStringsSep " or " (name: "${here}.settings.datasets.${name}.check") (
              builtins.attrNames datasets
            )}
            (README.md has two that are tried), or drill by hand.
          '';
        }
        {
          assertion = !(cfg.drill.enable && cfg.drill.podman) || config.virtualisation.podman.enable;
          message = ''
            ${here}.drill.podman: there is no podman to start containers with. Set
            virtualisation.podman.enable = true, or ${here}.drill.podman = false.
          '';
        }
        {
          assertion = !(cfg.createUser && (config.users.users.${cfg.user}.isNormalUser or false));
          message = ''
            ${here}.createUser: "${cfg.user}" is a normal user
            (users.users.${cfg.user}.isNormalUser). Set ${here}.createUser = false; the backup then
            runs as that user, and declares nothing of it.
          '';
        }
      ];

    warnings =
      optional (!cfg.createUser && !config.users.users ? ${cfg.user}) ''
        ${here}.user: "${cfg.user}" is declared nowhere, and ${here}.createUser is off. Unless the user
        is made by other means, the unit will not start (217/USER).
      ''
      ++ optional (rootIsMemory && !hasOwnFileSystem settings.snapshot_dir) ''
        ${here}.settings.snapshot_dir: "/" is a tmpfs, and no file system is mounted at or above
        "${settings.snapshot_dir}". Snapshots have to lie on the file system of
        "${settings.subvolume}": declare one of its subvolumes in
        fileSystems."${settings.snapshot_dir}", or every run ends with exit code 3.
      ''
      ++ optional (cfg.drill.enable && rootIsMemory && !hasOwnFileSystem drillScratch) ''
        ${here}.drill.enable: "/" is a tmpfs, and no file system is mounted at or above
        "${drillScratch}": a drill would restore all of the data into memory. Mount one
        there, or keep that directory on a disk as your impermanence has it.
      '';

    environment.systemPackages = [ cfg.package ];
    environment.etc."opencode-backup/config.toml".source = configFile;

    users = mkIf cfg.createUser {
      users.${cfg.user} = {
        isSystemUser = true;
        # A host that declares the user for something else, too, has its own.
        group = mkDefault cfg.group;
        description = mkDefault "Backups of the assistant's memory";
      };
      groups.${cfg.group} = { };
    };

    systemd.services = {
      opencode-backup = serviceOf units.service // {
        path = tools;
      };
      opencode-backup-drill = mkIf cfg.drill.enable (
        serviceOf units.drill.service
        // {
          # A unit has no shell otherwise.
          path =
            tools
            ++ [ pkgs.bash ]
            ++ cfg.drill.packages
            ++ optional cfg.drill.podman config.virtualisation.podman.package;
        }
      );
    };

    systemd.timers = {
      opencode-backup = mkIf (units.timer != null) (timerOf units.timer);
      opencode-backup-drill = mkIf (cfg.drill.enable && units.drill.timer != null) (
        timerOf units.drill.timer
      );
    };

    systemd.tmpfiles.settings.opencode-backup = mapAttrs (
      _: mapAttrs (_: mapAttrs (_: mkDefault))
    ) units.tmpfiles;
  };
}
