# The systemd units: the one place where they are written.
#
# Builtins only, so that plain `nix-instantiate --eval` renders them: the units that the virtual
# machine boots under a real systemd (tests/vm) and that `tests/golden` holds for other
# distributions are the ones that a NixOS host gets. Settings in; `{ service = { Unit; Service; };
# timer = { Unit; Timer; Install; } or null; drill = { service; timer; } or null; tmpfiles; }` out.
# Every value of a unit is a string or a list of strings (one line each). A list is a setting to
# which a host can add; a string is one that a host replaces. `tmpfiles` has the form of NixOS's
# `systemd.tmpfiles.settings.<file>`. What only NixOS understands is in `default.nix`.
{
  # The binary, absolute.
  program ? "/usr/local/bin/opencode-backup",
  user ? "opencode",
  group ? "opencode",
  environmentFile ? "/run/secrets/opencode.env",
  # As in the configuration file: the sandbox has to leave room for them.
  subvolume ? "/persist",
  snapshotDir ? "/.snapshots",
  stateFile ? "/var/lib/opencode-backup/last-run.json",
  textfile ? null,
  # `export.command`, null where the export is switched off.
  exportCommand ? [
    "python3"
    "/root/.opencode/graphiti/memory_manager.py"
    "export"
  ],
  # Directories that may be written besides by a backup, and ones below /home and /root that may be
  # read besides.
  writablePaths ? [ ],
  readablePaths ? [ ],
  # Units that write the data, to be started first.
  after ? [ "opencode-memory-pod.service" ],
  # Whether the snapshot directory is made and given to the user.
  manageSnapshotDir ? true,
  # The timer's section; null: no timer.
  timer ? { },
  # The restore drill; null: none. Otherwise `checks`, the datasets' `check` commands; `podman`,
  # whether they may start containers; `timer`, its timer's section, null: no timer.
  drill ? null,
}:
let
  inherit (builtins)
    any
    concatStringsSep
    dirOf
    elem
    filter
    isBool
    isInt
    isList
    isString
    listToAttrs
    mapAttrs
    match
    replaceStrings
    stringLength
    substring
    ;

  # One word of a command line as systemd.service(5) reads it: bare where that is the same, else in
  # quotation marks, whose escapes are JSON's. `%` and `$` are doubled, since they would be
  # expanded.
  word =
    text:
    if match "[A-Za-z0-9_./@:=+,-]+" text != null then
      text
    else
      replaceStrings [ "%" "$" ] [ "%%" "$$" ] (builtins.toJSON text);

  # A command line out of a list of words.
  command = words: concatStringsSep " " (map word words);

  isBelow =
    directory: path:
    path == directory || substring 0 (stringLength directory + 1) path == "${directory}/";

  unique =
    list: builtins.foldl' (seen: item: if elem item seen then seen else seen ++ [ item ]) [ ] list;

  # `-`: a missing path must not fail the unit with 226/NAMESPACE; the program itself reports what
  # is missing and the remedy.
  optionally = map (path: "-${path}");

  # What ProtectHome= hides.
  homes = [
    "/home"
    "/root"
    "/run/user"
  ];
  isInHomes = path: any (home: isBelow home path) homes;

  # The folder of a file; the file alone where that folder is a whole home, or all of them.
  folder = file: if elem (dirOf file) homes then file else dirOf file;

  # What a command needs of the homes: the files among its words, each with its folder.
  readableFor =
    words:
    unique (
      map folder (filter (word: substring 0 1 word == "/" && isInHomes word) words)
      ++ filter isInHomes readablePaths
    );

  # The export script lies below /root.
  readable = readableFor (if exportCommand == null then [ ] else exportCommand);

  stateDirectory = "/var/lib/opencode-backup";
  cacheDirectory = "/var/cache/opencode-backup";

  written = unique (
    [ snapshotDir ]
    ++ filter (path: !isBelow stateDirectory path) (
      [ (dirOf stateFile) ] ++ (if textfile == null then [ ] else [ (dirOf textfile) ])
    )
    ++ writablePaths
  );

  # Where the backup itself works in a home, hiding homes would hide it: they are then read-only
  # instead.
  homesAreNeeded = any isInHomes ([ subvolume ] ++ written);

  # Exactly these: fowner takes a snapshot of root's subvolume, dac_read_search reads what the
  # servers keep to themselves, sys_admin deletes a read-only snapshot and asks Btrfs what it is.
  # btrfs gets all three, rclone dac_read_search alone, the export none: the program itself sees to
  # that.
  capabilities = [ "CAP_FOWNER CAP_DAC_READ_SEARCH CAP_SYS_ADMIN" ];

  # sops-nix installs secrets with this unit, where it does not do so during activation.
  secretsUnit = "sops-install-secrets.service";

  asString =
    value:
    if isBool value then
      (if value then "true" else "false")
    else if isInt value then
      toString value
    else if isString value then
      value
    else if isList value then
      map asString value
    else
      throw "opencode-backup: a timer's value is a string, a number, true, false or a list of them";

  # Null leaves a line out.
  present =
    attrs:
    listToAttrs (
      map (name: {
        inherit name;
        value = attrs.${name};
      }) (filter (name: attrs.${name} != null) (builtins.attrNames attrs))
    );

  # What the two services share, the sandbox above all.
  common = {
    Type = "oneshot";
    User = user;
    Group = group;
    # `-`: we ourselves name the file that is missing, with the remedy, and exit with 3.
    EnvironmentFile = [ "-${environmentFile}" ];

    # SIGTERM goes to us alone, and we stop our children; what is left after 30 s is killed, the
    # whole group of it.
    KillMode = "mixed";
    TimeoutStopSec = "30";
    # A unit that was stopped has not failed.
    SuccessExitStatus = [ "143" ];
    # For the status line.
    NotifyAccess = "main";
    # NixOS starts a wrapper, which has another file name. The program sets the identifier of its own
    # records; this is for everything else that reaches the journal.
    SyslogIdentifier = "opencode-backup";

    # The assistant has priority.
    Nice = "10";
    IOSchedulingClass = "best-effort";
    IOSchedulingPriority = "7";

    UMask = "0077";
    # The keys are in our environment, and a core dump would hold them.
    LimitCORE = "0";
    # Some rclones of a few dozen threads each need far less. It stops a child that forks for ever.
    TasksMax = "512";

    NoNewPrivileges = "true";

    ProtectSystem = "strict";
    PrivateMounts = "true";
    PrivateTmp = "true";
    PrivateDevices = "true";
    # PrivateDevices= implies it; a host that turns that off keeps this.
    DevicePolicy = "closed";
    PrivateIPC = "true";
    ProtectProc = "invisible";
    ProcSubset = "pid";
    ProtectKernelTunables = "true";
    ProtectKernelModules = "true";
    ProtectKernelLogs = "true";
    ProtectControlGroups = "true";
    ProtectClock = "true";
    ProtectHostname = "true";
    # CAP_DAC_READ_SEARCH would open both. `-`: neither has to exist.
    InaccessiblePaths = optionally [
      "/etc/shadow"
      "/etc/ssh"
    ];

    # The bucket, the local servers, the journal and the resolver. No AF_NETLINK: the C library
    # does without.
    RestrictAddressFamilies = [ "AF_UNIX AF_INET AF_INET6" ];
    # Nothing here listens on a port: a check's server has a unix socket.
    SocketBindDeny = [ "any" ];
    RestrictNamespaces = "true";
    RestrictRealtime = "true";
    RestrictSUIDSGID = "true";
    LockPersonality = "true";
    MemoryDenyWriteExecute = "true";
    SystemCallArchitectures = "native";
    # The last line gives two calls back: with capset(2) setpriv takes capabilities away from
    # children, and it changes no user; with setpriority(2) the threads that read beside the uploads
    # give way to them, and without CAP_SYS_NICE no process can raise its priority.
    SystemCallFilter = [
      "@system-service"
      "~@aio @keyring @memlock @mount @privileged @resources @setuid"
      "capset setpriority"
    ];
    # An error instead of a death: rclone's runtime tries some of these and goes on without.
    SystemCallErrorNumber = "EPERM";

    # What is left out, and why:
    # - PrivateNetwork=, IPAddressDeny=: the bucket is on the Internet, behind addresses that
    #   change.
    # - RemoveIPC=: `opencode` may be somebody's login, whose shared memory is none of our
    #   business.
    # - DynamicUser=: snapshots and /.snapshots have an owner who stays the same, and the keys one
    #   who may read them.
  };

  # Homes are empty, except for these paths.
  hideHomes =
    shown:
    if shown == [ ] then
      { ProtectHome = "tmpfs"; }
    else
      {
        # The export runs without capabilities, but its script lies below /root, which is 0700: an
        # empty /root with nothing but the script's folder lets it through, and keeps all other
        # homes from a Python that would run what it finds there. ProtectHome=tmpfs would make
        # that /root 0700 too.
        TemporaryFileSystem = map (home: "${home}:ro") homes;
        BindReadOnlyPaths = optionally shown;
      };

  service = {
    Unit = {
      Description = "Back up the assistant's memory: snapshot, upload, proof, retention";
      Documentation = "man:opencode-backup(1)";
      # No Requires=: where the pod did not start, its data is still there, and worth storing.
      After = after ++ [
        secretsUnit
        "network-online.target"
      ];
      Wants = [ "network-online.target" ];
      RequiresMountsFor = [
        subvolume
        snapshotDir
      ];
    };

    Service =
      common
      // {
        ExecStart = command [
          program
          "run"
        ];

        # A oneshot that hangs blocks every later tick of the timer: it has to end before the next
        # one.
        TimeoutStartSec = "5h30min";

        # All rclones together stay within `remote.memory` (256M by default), and the program and the
        # export within 200 MiB. Files that were read are cached beyond that, and given back. A host
        # that raises `remote.memory` raises this.
        MemoryMax = "1G";

        # Monitoring reads the last run's verdict here (UMask= does not apply); it holds no secret.
        StateDirectory = "opencode-backup";
        StateDirectoryMode = "0755";

        AmbientCapabilities = capabilities;
        CapabilityBoundingSet = capabilities;

        # Everything else is read-only.
        ReadWritePaths = optionally written;

        # What is left out here alone, and why:
        # - PrivateUsers=: capabilities in a user namespace are worth nothing to Btrfs.
        # - CAP_DAC_OVERRIDE: not needed while /.snapshots belongs to the user.
      }
      // (if homesAreNeeded then { ProtectHome = "read-only"; } else hideHomes readable);
  };

  drillTimer = drill.timer or { };
  mayUsePodman = drill.podman or false;

  drillService = {
    Unit = {
      Description = "Restore the newest backup into a scratch directory and try it";
      Documentation = "man:opencode-backup-drill(1)";
      # A backup that is under way comes first: they would share the link and the disk. Neither
      # /persist nor the pod: a restore needs the bucket alone.
      After = [
        "opencode-backup.service"
        secretsUnit
        "network-online.target"
      ]
      ++ podmanSocket;
      Wants = [ "network-online.target" ] ++ podmanSocket;
    };

    Service =
      common
      // {
        ExecStart = command [
          program
          "drill"
          "--scratch"
          cacheDirectory
        ];

        # Long enough for a slow link, and over long before the next one.
        TimeoutStartSec = "12h";

        # Room for one restored copy of everything, for this user alone: the only place that is
        # written. Not below PrivateTmp=, since podman, outside, has to see the same path.
        CacheDirectory = "opencode-backup";
        CacheDirectoryMode = "0700";

        # A server that loads a second copy of the data takes as much memory as the first one: should
        # there be too little, the drill goes and not the pod.
        OOMScoreAdjust = "500";

        # No capability. With CAP_CHOWN the files would belong to other users, and the check, which
        # has no capability, could not read them.
        CapabilityBoundingSet = "";
        # So, unlike the backup, the drill can have a user namespace: it has only root and this
        # user.
        PrivateUsers = "true";

        # What is left out here, and why:
        # - MemoryMax=: a check loads the data into memory, as much as there is. A limit would fail the
        #   drill of a good backup; OOMScoreAdjust= protects the pod instead.
        # The rest of what the backup has is here: a valkey-server on a unix socket works within
        # all of it, and podman works outside, in the service behind its socket.
        # - StateDirectory=, ReadWritePaths=: nothing is written; the verdict is the exit code.
      }
      // (
        # The group of podman's socket. Whoever may write to it can become root: only where it is
        # asked for.
        if mayUsePodman then { SupplementaryGroups = [ "podman" ]; } else { }
      )
      // hideHomes (readableFor (builtins.concatLists (drill.checks or [ ])));
  };
  podmanSocket = if mayUsePodman then [ "podman.socket" ] else [ ];

  timerUnit = description: defaults: section: {
    Unit.Description = description;
    Timer = mapAttrs (_: asString) (present (defaults // section));
    Install.WantedBy = [ "timers.target" ];
  };
in
{
  inherit service;

  timer =
    if timer == null then
      null
    else
      timerUnit "Back up the assistant's memory every six hours" {
        OnCalendar = "0/6:00:00";
        # A tick that was missed while the machine was off is made up for once it is on.
        Persistent = true;
      } timer;

  drill =
    if drill == null then
      null
    else
      {
        service = drillService;
        timer =
          if drillTimer == null then
            null
          else
            timerUnit "Try the newest backup every month" {
              # Not at midnight: a backup starts then.
              OnCalendar = "*-*-01 03:00:00";
              Persistent = true;
            } drillTimer;
      };

  tmpfiles =
    # `d`: made where it is missing, given to the user where it is not (a subvolume that is mounted
    # there included).
    (
      if manageSnapshotDir then
        {
          ${snapshotDir}.d = {
            mode = "0750";
            inherit user group;
          };
        }
      else
        { }
    )
    # `e`: what a drill could not take away (SIGKILL, power) goes days after the longest drill is
    # over.
    // (if drill == null then { } else { ${cacheDirectory}.e.age = "3d"; });
}
