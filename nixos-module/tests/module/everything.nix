# Every option and every setting, each with another value than its default.
let
  everySetting = {
    subvolume = "/srv/memory";
    snapshot_dir = "/srv/snapshots";
    former_subvolume_uuids = [ "0f3c8d52-93c5-4a0f-9d0b-6c9f4f1c2a11" ];
    env_file = "/run/keys/memory.env";
    datasets.falkordb.enable = false;
    datasets.valkey.enable = false;
    datasets.graph = {
      path = "graph";
      format = "redis";
      max_data_age = "12h";
      check = [
        "valkey-check"
        "{dir}"
      ];
    };
    datasets.notes = {
      path = "notes";
      format = "files";
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
      remote_days = 90;
      remote_min_keep = 8;
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
