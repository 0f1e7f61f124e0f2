# What no type refuses and `opencode-backup config` does, when the system is built: the key that it
# names, and settings.
{
  "subvolume" = {
    subvolume = "/persist/";
  };
  "remote.buckt" = {
    remote.buckt = "typing-error";
  };
  "remote.endpoint" = {
    remote.endpoint = "http://s3.example.org";
  };
  "remote.prefix" = {
    remote.prefix = "no-slash";
  };
  "remote.memory" = {
    remote.memory = "256MB";
  };
  "remote.extra_args" = {
    remote.extra_args = [ "--rc" ];
  };
  "export.timeout" = {
    export.timeout = "soon";
  };
  "export.command" = {
    export.command = [ ];
  };
  "drill.timeout" = {
    drill.timeout = "0s";
  };
  "former_subvolume_uuids" = {
    former_subvolume_uuids = [ "none" ];
  };
  "datasets" = {
    datasets.falkordb.enable = false;
    datasets.valkey.enable = false;
  };
  "datasets.Graph" = {
    datasets.Graph = {
      path = "graph";
      format = "redis";
    };
  };
  "datasets.a.path" = {
    datasets.a = {
      path = "../etc";
      format = "files";
    };
  };
  "datasets.a.max_data_age" = {
    datasets.a = {
      path = "a";
      format = "redis";
      max_data_age = "a day";
    };
  };
  "datasets.a.check" = {
    datasets.a = {
      path = "a";
      format = "redis";
      check = [ "true" ];
    };
  };
  "report.textfile" = {
    report.textfile = "/var/lib/opencode-backup/last-run.json";
  };
}
