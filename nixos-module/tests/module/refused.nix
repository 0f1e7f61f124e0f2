# What is refused: by an assertion, which names the option, or by an option's type, which does.
{
  of,
  with',
  checked,
}:
{
  # The start of the message, and a configuration that fails this one assertion.
  assertions = {
    "services.opencode-backup.environmentFile: \"/nix/store/" = of {
      environmentFile = "/nix/store/00000000000000000000000000000000-secret";
      settings.env_file = "/run/secrets/opencode.env";
    };
    "services.opencode-backup.settings.env_file: \"/nix/store/" = of {
      settings.env_file = "/nix/store/00000000000000000000000000000000-secret";
    };
    "services.opencode-backup.settings.snapshot_dir: it must differ from services.opencode-backup.settings.subvolume" =
      of {
        settings.snapshot_dir = "/persist";
      };
    "services.opencode-backup.user: not root" = of { user = "root"; };
    "services.opencode-backup.createUser: \"opencode\" is a normal user" = with' { } {
      users.users.opencode.isNormalUser = true;
    };
    "services.opencode-backup.environmentFile: \"run/secrets\" must be an absolute path" = of {
      environmentFile = "run/secrets";
      settings.env_file = "/run/secrets/opencode.env";
    };
    "services.opencode-backup.settings.subvolume: \"/per sist\" must" = of {
      settings.subvolume = "/per sist";
    };
    "services.opencode-backup.settings.snapshot_dir: \"/%h\" must" = of {
      settings.snapshot_dir = "/%h";
    };
    "services.opencode-backup.settings.report.state_file: \"/a:b\" must" = of {
      settings.report.state_file = "/a:b";
    };
    "services.opencode-backup.settings.report.textfile: \"/a/\" must" = of {
      settings.report.textfile = "/a/";
    };
    "services.opencode-backup.writablePaths: \"/a\"b\" must" = of { writablePaths = [ "/a\"b" ]; };
    "services.opencode-backup.readablePaths: \"x\" must" = of { readablePaths = [ "x" ]; };
    "services.opencode-backup.settings.export.command: \"/root/my scripts/export.py\" must" = of {
      settings.export.command = [
        "python3"
        "/root/my scripts/export.py"
      ];
    };
    "services.opencode-backup.drill.enable: no dataset has a `check`" = of { drill.enable = true; };
    "services.opencode-backup.drill.podman: there is no podman" = of (
      checked
      // {
        drill.enable = true;
        drill.podman = true;
      }
    );
    "services.opencode-backup.settings.datasets.notes.check: \"/root/my checks/notes\" must" = of {
      drill.enable = true;
      settings.datasets.notes = {
        path = "notes";
        format = "files";
        check = [
          "/root/my checks/notes"
          "{dir}"
        ];
      };
    };
  };

  # The option, and a value that is not of its type.
  values = {
    "enable" = {
      enable = "yes";
    };
    "package" = {
      package = "opencode-backup";
    };
    "user" = {
      user = "no spaces";
    };
    "group" = {
      group = "";
    };
    "createUser" = {
      createUser = "no";
    };
    "manageSnapshotDir" = {
      manageSnapshotDir = 0;
    };
    "environmentFile" = {
      environmentFile = ./harness.nix;
    };
    "timerConfig" = {
      timerConfig = "daily";
    };
    "timerConfig.OnCalendar" = {
      timerConfig.OnCalendar = 6;
    };
    "timerConfig.Persistent" = {
      timerConfig.Persistent = "maybe";
    };
    "timerConfig.RandomizedDelaySec" = {
      timerConfig.RandomizedDelaySec = [ ];
    };
    "drill.enable" = {
      drill.enable = "monthly";
    };
    "drill.timerConfig" = {
      drill.timerConfig = [ "monthly" ];
    };
    "drill.timerConfig.OnCalendar" = {
      drill.timerConfig.OnCalendar = null;
    };
    "drill.timerConfig.Persistent" = {
      drill.timerConfig.Persistent = 1;
    };
    "drill.timerConfig.RandomizedDelaySec" = {
      drill.timerConfig.RandomizedDelaySec = true;
    };
    "drill.packages" = {
      drill.packages = "valkey";
    };
    "drill.podman" = {
      drill.podman = "/run/podman/podman.sock";
    };
    "export.python" = {
      export.python = "python3";
    };
    "readablePaths" = {
      readablePaths = "/root/venv";
    };
    "writablePaths" = {
      writablePaths = [ 1 ];
    };
    "settings" = {
      settings = "file";
    };
    "settings.subvolume" = {
      settings.subvolume = null;
    };
    "settings.snapshot_dir" = {
      settings.snapshot_dir = [ ];
    };
    "settings.former_subvolume_uuids" = {
      settings.former_subvolume_uuids = "uuid";
    };
    "settings.env_file" = {
      settings.env_file = 1;
    };
    "settings.datasets" = {
      settings.datasets = [ "falkordb" ];
    };
    "settings.datasets.a.enable" = {
      settings.datasets.a = {
        enable = "no";
        path = "a";
        format = "files";
      };
    };
    "settings.datasets.a.path" = {
      settings.datasets.a.format = "redis";
    };
    "settings.datasets.falkordb.format" = {
      settings.datasets.falkordb = {
        path = "falkordb";
        format = "rdb";
      };
    };
    "settings.datasets.a.max_data_age" = {
      settings.datasets.a = {
        path = "a";
        format = "files";
        max_data_age = 24;
      };
    };
    "settings.datasets.a.max_shrink" = {
      settings.datasets.a = {
        path = "a";
        format = "redis";
        max_shrink = 50;
      };
    };
    "settings.datasets.a.server" = {
      settings.datasets.a = {
        path = "a";
        format = "redis";
        server = 6379;
      };
    };
    "settings.datasets.a.server_password_variable" = {
      settings.datasets.a = {
        path = "a";
        format = "redis";
        server_password_variable = true;
      };
    };
    "settings.datasets.a.check" = {
      settings.datasets.a = {
        path = "a";
        format = "files";
        check = "true";
      };
    };
    "settings.remote" = {
      settings.remote = 1;
    };
    "settings.remote.bucket" = {
      settings.remote.bucket = null;
    };
    "settings.remote.prefix" = {
      settings.remote.prefix = 1;
    };
    "settings.remote.provider" = {
      settings.remote.provider = [ ];
    };
    "settings.remote.endpoint" = {
      settings.remote.endpoint = { };
    };
    "settings.remote.incremental" = {
      settings.remote.incremental = "true";
    };
    "settings.remote.bandwidth" = {
      settings.remote.bandwidth = 10;
    };
    "settings.remote.memory" = {
      settings.remote.memory = 256;
    };
    "settings.remote.extra_args" = {
      settings.remote.extra_args = "--transfers 8";
    };
    "settings.export" = {
      settings.export = false;
    };
    "settings.export.enable" = {
      settings.export.enable = "no";
    };
    "settings.export.command" = {
      settings.export.command = "python3 export.py";
    };
    "settings.export.timeout" = {
      settings.export.timeout = 30;
    };
    "settings.drill.timeout" = {
      settings.drill.timeout = 1;
    };
    "settings.retention" = {
      settings.retention = 30;
    };
    "settings.retention.days" = {
      settings.retention.days = 0;
    };
    "settings.retention.min_keep" = {
      settings.retention.min_keep = -1;
    };
    "settings.save_timeout" = {
      settings.save_timeout = 5;
    };
    "settings.restore" = {
      settings.restore = 1;
    };
    "settings.restore.stop" = {
      settings.restore.stop = "true";
    };
    "settings.restore.start" = {
      settings.restore.start = "true";
    };
    "settings.restore.timeout" = {
      settings.restore.timeout = 5;
    };
    "settings.retention.remote" = {
      settings.retention.remote = 90;
    };
    "settings.retention.remote.daily" = {
      settings.retention.remote.daily = -1;
    };
    "settings.retention.remote.weekly" = {
      settings.retention.remote.weekly = -1;
    };
    "settings.retention.remote.monthly" = {
      settings.retention.remote.monthly = -1;
    };
    "settings.retention.remote.yearly" = {
      settings.retention.remote.yearly = -1;
    };
    "settings.retention.remote.days" = {
      settings.retention.remote.days = "90";
    };
    "settings.retention.remote.min_keep" = {
      settings.retention.remote.min_keep = null;
    };
    "settings.report" = {
      settings.report = 1;
    };
    "settings.report.state_file" = {
      settings.report.state_file = null;
    };
    "settings.report.textfile" = {
      settings.report.textfile = true;
    };
  };
}
