# Every option and every setting, each with another value than its default.
let
  everySetting = {
    subvolume = "/srv/memory";
    snapshot_dir = "/srv/snapshots";
    former_subvolume_uuids = [ "0f3c8d52-93c5-4a0f-9d0b-6c9f4f1c2a11" ];
    env_file = "/run/keys/memory.env";
    save_timeout = "7m";
    datasets.falkordb.enable = false;
    datasets.valkey.enable = false;
    datasets.graph = {
      enable = true;
      path = "graph";
      format = "redis";
      max_data_age = "12h";
      max_shrink = "20%";
      server = "127.0.0.1:6379";
      server_password_variable = "GRAPH_PASSWORD";
      check = [
        "valkey-check"
        "{dir}"
      ];
    };
    datasets.notes = {
      enable = true;
      path = "notes";
      format = "files";
      max_data_age = "off";
      max_shrink = "off";
    };
    remote = {
      bucket = "another-bucket";
      prefix = "vps/";
      provider = "Minio";
      endpoint = "https://s3.example.org:9000";
      incremental = false;
      bandwidth = "10M";
      memory = "512M";
      extra_args = [ "--transfers=8" ];
    };
    export = {
      enable = false;
      command = [
        "/usr/bin/env"
        "true"
      ];
      timeout = "5m";
    };
    drill.timeout = "2h";
    retention = {
      days = 7;
      min_keep = 2;
      remote = {
        days = 90;
        daily = 6;
        weekly = 0;
        monthly = 2;
        yearly = 1;
        min_keep = 8;
      };
    };
    restore = {
      stop = [ "true" ];
      start = [ "false" ];
      timeout = "1m";
    };
    report = {
      state_file = "/var/lib/memory/verdict.json";
      textfile = "/var/lib/prometheus-node-exporter/opencode-backup.prom";
    };
  };

  everyOption = {
    package = {
      type = "derivation";
      name = "another";
      outPath = "/nix/store/11111111111111111111111111111111-another";
      meta.mainProgram = "opencode-backup";
    };
    user = "memory";
    group = "keepers";
    createUser = false;
    manageSnapshotDir = false;
    environmentFile = "/run/keys/memory.env";
    timerConfig = {
      OnCalendar = [
        "hourly"
        "Mon 04:00"
      ];
      Persistent = false;
      RandomizedDelaySec = 600;
      AccuracySec = "1s";
    };
    drill = {
      enable = true;
      timerConfig = {
        OnCalendar = "weekly";
        Persistent = false;
        RandomizedDelaySec = "1h";
      };
      packages = [ ];
      podman = true;
    };
    readablePaths = [ "/root/tools/venv" ];
    writablePaths = [ "/var/cache/graphiti" ];
    settings = everySetting;
  };
in
{
  inherit everySetting everyOption;
}
