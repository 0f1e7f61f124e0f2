# What can be set: `services.opencode-backup.*`.
#
# `settings` is the configuration file, key by key (RFC 42): the documented keys are typed here,
# what a type cannot say is left to `opencode-backup config`, which reads the file when the system
# is built. Every default is the binary's own, and `tests/` holds the two against each other.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    literalExpression
    mkDefault
    mkEnableOption
    mkOption
    types
    ;

  cfg = config.services.opencode-backup;
  toml = pkgs.formats.toml { };

  # A name that `User=` and a tmpfiles rule can carry.
  accountName = types.strMatching "[a-zA-Z_][a-zA-Z0-9_-]{0,30}" // {
    description = "name of a user or group (letters, digits, _ and -)";
  };

  # Unknown keys pass here and are refused when the file is checked, with their line.
  table =
    options:
    types.submodule {
      freeformType = toml.type;
      inherit options;
    };

  option =
    type: default: description:
    mkOption { inherit type default description; };

  # A timer's section.
  timerConfig =
    {
      onCalendar,
      when,
      delay,
      example,
    }:
    mkOption {
      type = types.nullOr (
        types.submodule {
          freeformType =
            with types;
            attrsOf (oneOf [
              bool
              int
              str
              (listOf str)
            ]);
          options = {
            OnCalendar = option (with types; either str (listOf str)) onCalendar when;
            Persistent =
              option types.bool true
                "Whether a tick that was missed while the host was off is made up for.";
            RandomizedDelaySec = option (with types; nullOr (either int str)) null delay;
          };
        }
      );
      default = { };
      inherit example;
      description = "The timer's section, see {manpage}`systemd.timer(5)`; null: no timer.";
    };

  dataset = table {
    enable = option types.bool true "Whether this dataset is backed up.";
    path = mkOption {
      type = types.str;
      example = "containers/falkordb";
      description = "The directory, below the subvolume.";
    };
    format = mkOption {
      type = types.enum [
        "redis"
        "files"
      ];
      example = "redis";
      description = ''
        What the files are: `redis` (RDB dumps and append-only files of FalkorDB, Valkey or Redis,
        inspected before they count as stored) or `files` (anything, not inspected).
      '';
    };
    max_data_age = option types.str "24h" ''
      The age of the data beyond which the verdict warns that the server has not saved; `off`: no
      warning.
    '';
    max_shrink =
      option types.str "50%"
        "How much smaller the data may become; `off`: any. Not used yet.";
    server =
      option (types.nullOr types.str) null
        "The server that saves there: `host:port` or `unix:/path`. Not used yet.";
    server_password_variable =
      option (types.nullOr types.str) null
        "The environment variable with the server's password. Not used yet.";
    check = option (types.nullOr (types.listOf types.str)) null ''
      A command that proves a restored copy, `{dir}` standing for its directory; for
      {option}`services.opencode-backup.drill.enable`.
    '';
  };
in
{
  options.services.opencode-backup = {
    enable = mkEnableOption "backups of the assistant's memory to Backblaze B2, every six hours";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package that provides `opencode-backup`.";
    };

    user = mkOption {
      type = accountName;
      default = "opencode";
      description = "The user that the backup runs as, with three capabilities. Not root.";
    };

    group = mkOption {
      type = accountName;
      default = "opencode";
      description = "The group that the backup runs as.";
    };

    createUser = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to make the user and the group, as those of a system service. Turn it off where the
        user is somebody's login or is declared elsewhere.
      '';
    };

    manageSnapshotDir = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to make {option}`services.opencode-backup.settings.snapshot_dir` where it is
        missing, and give it to the user (mode 0750). Turn it off where it belongs to another tool;
        the user has to be able to write there.
      '';
    };

    environmentFile = mkOption {
      type = types.str;
      default = "/run/secrets/opencode.env";
      example = literalExpression "config.sops.secrets.\"opencode.env\".path";
      description = ''
        The file with `B2_KEY_ID=…` and `B2_APP_KEY=…`, and what else the export script reads, in
        the syntax of systemd's `EnvironmentFile=`. A string and not a path, so that no secret is
        copied into the store, which everybody can read.
      '';
    };

    timerConfig = timerConfig {
      onCalendar = "0/6:00:00";
      when = "When to back up: {manpage}`systemd.time(7)`.";
      delay = "Spreads the hosts that share a bucket.";
      example = {
        OnCalendar = "hourly";
        RandomizedDelaySec = "10min";
      };
    };

    drill = {
      enable = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether to test the newest backup every month: it is restored into
          `/var/cache/opencode-backup`, and each dataset's
          {option}`services.opencode-backup.settings.datasets.<name>.check` is run on what came back.
          It takes as much room there, and as much memory, as a second copy of the data.
        '';
      };

      timerConfig = timerConfig {
        onCalendar = "*-*-01 03:00:00";
        when = "When to drill: {manpage}`systemd.time(7)`; by default between two backups.";
        delay = "Spreads the hosts that share a link.";
        example.OnCalendar = "Sun 03:00";
      };

      packages = mkOption {
        type = types.listOf types.package;
        default = [ pkgs.valkey ];
        defaultText = literalExpression "[ pkgs.valkey ]";
        description = "What the `check` commands find in `PATH`, beside a shell and the usual small tools.";
      };

      podman = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether the `check` commands may start containers (`podman --remote`): the unit joins the
          group of podman's socket. A process that may write to the socket can become root: the rest
          of the unit's sandbox is then only as good as the `check` commands.
        '';
      };
    };

    export.python = mkOption {
      type = types.package;
      default = pkgs.python3.withPackages (python: [ python.b2sdk ]);
      defaultText = literalExpression "pkgs.python3.withPackages (python: [ python.b2sdk ])";
      description = ''
        The Python that runs the export script, with everything that the script imports. It is
        written absolutely into the default of
        {option}`services.opencode-backup.settings.export.command`.
      '';
    };

    readablePaths = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/root/.opencode/venv" ];
      description = ''
        What the export, and a drill's `check`, may read below `/root` and `/home` besides the folder
        of its script. The units see nothing else there.
      '';
    };

    writablePaths = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/var/cache/graphiti" ];
      description = ''
        Directories that may be written besides the snapshot directory, the state directory and the
        folders of {option}`services.opencode-backup.settings.report.state_file` and
        {option}`services.opencode-backup.settings.report.textfile`. They have to belong to the
        user, too.
      '';
    };

    settings = mkOption {
      description = ''
        `/etc/opencode-backup/config.toml`, which the timer's run and a person at the shell both
        read. Nulls are left out. It is checked when the system is built.
      '';
      default = { };
      type = table {
        subvolume = option types.str "/persist" "The Btrfs subvolume that is snapshotted.";
        snapshot_dir =
          option types.str "/.snapshots"
            "Where snapshots go, on the same file system; also the lock.";
        former_subvolume_uuids = option (types.listOf types.str) [ ] ''
          UUIDs that the subvolume had before it was itself restored; its old snapshots stay ours.
        '';
        env_file = mkOption {
          type = types.str;
          default = cfg.environmentFile;
          defaultText = literalExpression "config.services.opencode-backup.environmentFile";
          description = "Where the keys are, if the environment has neither: for a person at the shell.";
        };

        save_timeout = option types.str "5m" "For saves by all servers together. Not used yet.";

        datasets = mkOption {
          type = types.attrsOf dataset;
          default = { };
          description = ''
            What is stored, by name; the prefix in the bucket is `<name>-<timestamp>`. There are two
            from the start, `falkordb` in `containers/falkordb` and `valkey` in `containers/valkey`,
            with `format = "redis"` and `max_data_age = "24h"`. A host changes any of their keys,
            adds datasets, and switches one off with `enable = false`.
          '';
        };

        remote = option (table {
          bucket = option types.str "opencode-memory-backups" "The bucket; it is never created.";
          prefix =
            option types.str ""
              "Before every object's name but the export's; ends in `/`. One for each host that shares a bucket.";
          provider = option types.str "Other" "rclone's `--s3-provider`.";
          endpoint = option types.str "s3.us-west-004.backblazeb2.com" "rclone's `--s3-endpoint`.";
          incremental =
            option types.bool true
              "Whether unchanged files are copied on the server instead of being sent.";
          bandwidth =
            option types.str ""
              "rclone's `--bwlimit`, such as `08:00,1M 23:00,off`; for each dataset's rclone, and those go side by side.";
          memory =
            option types.str "256M"
              "Memory for all rclone processes together; it limits concurrent transfers.";
          extra_args = option (types.listOf types.str) [ ] "Further rclone flags, from an allow-list.";
        }) { } "The bucket, and how rclone is run.";

        export = option (table {
          enable = option types.bool true "Whether the export script is run.";
          command = mkOption {
            type = types.listOf types.str;
            # Without an export, no Python in the system's closure.
            default = [
              (if cfg.settings.export.enable then "${cfg.export.python}/bin/python3" else "python3")
              "/root/.opencode/graphiti/memory_manager.py"
              "export"
            ];
            defaultText = literalExpression ''
              [ "''${config.services.opencode-backup.export.python}/bin/python3" "/root/.opencode/graphiti/memory_manager.py" "export" ]
            '';
            description = "The script, which uploads its result itself. It runs as the user, without capabilities.";
          };
          timeout = option types.str "30m" "The export is stopped after this time.";
        }) { } "The export of the assistant's memory.";

        drill.timeout = option types.str "1h" "When a dataset's `check` is stopped.";

        retention = option (table {
          days = option types.ints.positive 30 "Snapshots older than so many days are deleted.";
          min_keep = option types.ints.positive 4 "This many of the newest are kept at any age.";
          remote = option (types.nullOr (table {
            days =
              option types.ints.positive 30
                "Backups older than this many days are deleted, unless a rule keeps them.";
            daily =
              option types.ints.unsigned 60
                "The newest backup of each of the last so many days is kept; 0: no rule.";
            weekly = option types.ints.unsigned 26 "The same for weeks.";
            monthly = option types.ints.unsigned 24 "The same for months.";
            yearly = option types.ints.unsigned 10 "The same for years.";
            min_keep = option types.ints.positive 4 "This many of the newest are kept at any age.";
          })) null "The same for the bucket. null: it is never pruned; `{ }`: pruned by the defaults below.";
        }) { } "How long snapshots and backups are kept.";

        restore =
          option
            (table {
              stop = option (types.listOf types.str) [
                "systemctl"
                "stop"
                "opencode-memory-pod.service"
              ] "What stops the service before a restore in place. Not used yet.";
              start = option (types.listOf types.str) [
                "systemctl"
                "start"
                "opencode-memory-pod.service"
              ] "What starts it again. Not used yet.";
              timeout = option types.str "5m" "When either is stopped. Not used yet.";
            })
            { }
            ''
              Not used yet. How a restore in place stops and starts the service. The commands that `restore`
              prints always name `opencode-memory-pod.service`.
            '';

        report = option (table {
          state_file = option types.str "/var/lib/opencode-backup/last-run.json" "The last run's verdict.";
          textfile = option (types.nullOr types.str) null "The same for the Prometheus node exporter.";
        }) { } "Where the outcome is written.";
      };
    };
  };

  # Here and not as the option's default, which any definition of a host would replace.
  config.services.opencode-backup.settings.datasets =
    lib.genAttrs
      [
        "falkordb"
        "valkey"
      ]
      (name: {
        path = mkDefault "containers/${name}";
        format = mkDefault "redis";
        max_data_age = mkDefault "24h";
      });
}
