# The rendered units against the files in `golden/`, with builtins alone:
#
#   nix-instantiate --eval --strict --json nixos-module/tests/golden.nix -A differences     # []
#
# `dist` is what `cargo xtask dist` writes for other distributions. `changed` has every setting
# changed. The other cases are about one setting each.
let
  units = import ../units.nix;
  render = import ./render.nix;

  # The other values of settings that are a choice between two.
  cases = {
    default = { };

    changed = {
      program = "/nix/store/00000000000000000000000000000000-opencode-backup/bin/opencode-backup";
      user = "memory";
      group = "keepers";
      environmentFile = "/run/keys/memory.env";
      subvolume = "/srv/memory";
      snapshotDir = "/srv/snapshots";
      stateFile = "/var/lib/memory/verdict.json";
      textfile = "/var/lib/prometheus-node-exporter/opencode-backup.prom";
      exportCommand = [
        "/root/tools/venv/bin/python3"
        "-m"
        "memory_manager"
        "--config"
        "/home/memory/export/config.yaml"
      ];
      writablePaths = [ "/var/cache/graphiti" ];
      readablePaths = [
        "/root/tools/venv"
        "/opt/is/visible/anyway"
      ];
      after = [
        "falkordb.service"
        "valkey.service"
      ];
      manageSnapshotDir = false;
      timer = {
        OnCalendar = [
          "hourly"
          "Mon 04:00"
        ];
        Persistent = false;
        RandomizedDelaySec = 600;
        AccuracySec = "1s";
        Unit = null;
      };
      drill = {
        checks = [
          [
            "/root/drill/check"
            "{dir}"
          ]
          [
            "sh"
            "-c"
            "exit 0"
          ]
        ];
        podman = true;
        timer = {
          OnCalendar = "weekly";
          Persistent = false;
        };
      };
    };

    # Nothing below /root is seen, and there is no timer.
    no-export-no-timer = {
      exportCommand = null;
      timer = null;
      drill.timer = null;
    };

    # Homes cannot be hidden from a backup of a home.
    homes = {
      subvolume = "/home";
      snapshotDir = "/home/.snapshots";
    };

    # Words that systemd would read otherwise; a script in /root itself does not open all of /root.
    quoting = {
      program = "/opt/50% off/$HOME/\"quoted\"/opencode-backup";
      exportCommand = [
        "python3"
        "/root/export.py"
      ];
    };
  };

  rendered = builtins.mapAttrs (_: settings: render (units settings)) cases // {
    dist = import ../dist.nix;
  };

  wanted =
    case:
    let
      directory = ./golden + "/${case}";
      names =
        if builtins.pathExists directory then builtins.attrNames (builtins.readDir directory) else [ ];
    in
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = builtins.readFile (directory + "/${name}");
      }) names
    );

  compare =
    case:
    let
      got = rendered.${case};
      want = wanted case;
    in
    builtins.concatMap (
      name:
      let
        one = got.${name} or null;
        other = want.${name} or null;
      in
      if one == other then
        [ ]
      else
        [
          {
            file = "golden/${case}/${name}";
            rendered = one;
            golden = other;
          }
        ]
    ) (builtins.attrNames (got // want));
in
{
  inherit rendered;
  differences = builtins.concatMap compare (
    builtins.attrNames (rendered // builtins.readDir ./golden)
  );
}
