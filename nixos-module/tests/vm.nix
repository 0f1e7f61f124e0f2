# The virtual machine of `cargo xtask vm-test` (tests/vm, which says what is checked and how) once
# more, with NixOS in it: the module writes the units and the configuration, and the same scenario
# finds them as they should be.
#
#   nix build --print-build-logs .#checks.x86_64-linux.vm
{
  pkgs,
  package,
}:
let
  guest = ../../tests/vm/guest;

  # What the scenario says, in the folder that the machine and its host share: the power is cut in
  # the middle, which no shell of the test driver's survives.
  told = "told-checks";
in
pkgs.testers.runNixOSTest {
  name = "opencode-backup";

  # A builder without KVM runs it, too. The default would refuse it there.
  requiredFeatures.kvm = false;

  # Seconds. It takes minutes where there is KVM, and a quarter of an hour where there is none.
  globalTimeout = 40 * 60;

  nodes.machine =
    { lib, pkgs, ... }:
    let
      standIns = [
        "bucket"
        "bucket-b2"
        "opencode-memory-pod"
        "scenario"
      ];
      # Those run by a server of their own name.
      servers = [
        "redis"
        "valkey"
      ];
      mountFrom = subvolume: where: {
        what = "/dev/disk/by-label/memory";
        inherit where;
        type = "btrfs";
        options = "subvol=${subvolume}";
        requires = [ "make-disk.service" ];
        after = [ "make-disk.service" ];
        wantedBy = [ "local-fs.target" ];
      };
    in
    {
      imports = [ ../default.nix ];

      services.opencode-backup = {
        enable = true;
        inherit package;
        settings.remote.endpoint = "http://127.0.0.1:9000";
      };

      # The stand-ins' own unit files, and in drop-ins what a distribution would add.
      systemd.packages = [
        (pkgs.runCommandLocal "stand-ins" { } ''
          mkdir -p "$out/etc/systemd/system"
          cp ${guest}/etc/systemd/system/*.service "$out/etc/systemd/system"
        '')
      ];
      systemd.services = lib.mkMerge [
        (lib.genAttrs standIns (_: {
          path = [ "/run/current-system/sw" ];
          wantedBy = [ "multi-user.target" ];
        }))
        {
          opencode-backup.onFailure = [ "told.service" ];
          scenario = {
            environment.TOLD_TO = "/tmp/shared/${told}";
            # The test driver ends the machine.
            unitConfig.SuccessAction = "none";
            unitConfig.FailureAction = "none";
          };
          make-disk = {
            description = "What an installation would have done to the disk";
            unitConfig.DefaultDependencies = false;
            unitConfig.ConditionPathExists = "!/dev/disk/by-label/memory";
            requires = [ "dev-vdc.device" ];
            after = [ "dev-vdc.device" ];
            path = [
              pkgs.btrfs-progs
              pkgs.coreutils
              pkgs.util-linux
            ];
            serviceConfig.Type = "oneshot";
            serviceConfig.ExecStart = "${guest}/opt/vm/make-disk /dev/vdc";
          };
        }
      ];
      systemd.mounts = [
        (mountFrom "@persist" "/persist")
        (mountFrom "@snapshots" "/.snapshots")
      ];

      systemd.tmpfiles.rules = [
        # The test driver leaves it open to all.
        "z /root 0700 root root -"
        "L+ /opt/vm - - - - ${guest}/opt/vm"
        "d /run/secrets 0751 root root -"
        "C /run/secrets/opencode.env 0440 root opencode - ${guest}/opt/vm/opencode.env"
        "d /root/.opencode/graphiti 0755 root root -"
        "C /root/.opencode/graphiti/memory_manager.py 0644 root root - ${../../tests/fixtures/memory_manager.py}"
      ];

      users.users = lib.genAttrs servers (name: {
        isSystemUser = true;
        group = name;
      });
      users.groups = lib.genAttrs servers (_: { });

      environment.systemPackages = [
        pkgs.btrfs-progs
        pkgs.python3
        pkgs.rclone
        pkgs.redis
        pkgs.valkey
      ];
      boot.supportedFilesystems = [ "btrfs" ];

      # The scenario alone sets the clock, which begins as it expects.
      services.timesyncd.enable = false;
      virtualisation = {
        qemu.options = [ "-rtc base=2031-03-01T00:10:00" ];
        cores = 2;
        memorySize = 2048;
        # After the root's and the store's.
        emptyDiskImages = [ 4096 ];
        # An image of the store, where all is root's. The host's store, seen through a build's
        # sandbox, is nobody's, and tools that are not root's are refused.
        useNixStoreImage = true;
      };
    };

  testScript = ''
    import time

    told = machine.shared_dir / "${told}"


    def lines() -> list[str]:
        return told.read_text().splitlines() if told.exists() else []


    machine.start(allow_reboot=True)
    while "end" not in lines():
        assert machine.process and machine.process.poll() is None, "the machine died"
        time.sleep(1)

    print(told.read_text())
    [expected] = [line for line in lines() if line.startswith("checks ")]
    passed = [line for line in lines() if line.startswith("ok ")]
    failed = [line for line in lines() if line.startswith("not ok ")]
    assert not failed, failed
    assert expected == f"checks {len(passed)}", "not all checks were told"
  '';
}
