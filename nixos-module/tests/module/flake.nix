# The flake's outputs and the package, as far as they evaluate without nixpkgs' packages.
{ lib, harness }:
let
  flake = import ../../../flake.nix;
  lock = builtins.fromJSON (builtins.readFile ../../../flake.lock);
  inherit ((builtins.fromTOML (builtins.readFile ../../../Cargo.toml)).workspace.package) version;

  # Any package is its own name; a derivation is what it is made of.
  names = [
    "btrfs-progs"
    "installShellFiles"
    "makeBinaryWrapper"
    "nixfmt-tree"
    "rclone"
    "util-linux"
    "versionCheckHook"
  ];
  packages = lib.genAttrs names (name: {
    inherit name;
    outPath = "/nix/store/00000000000000000000000000000000-${name}";
  });
  pkgs = packages // {
    # Sources as a list: Nix before 2.14 cannot make a file set.
    lib = lib // {
      fileset = {
        toSource = source: map toString source.fileset;
        unions = paths: paths;
      };
    };
    callPackage = file: _: import file (lib.intersectAttrs (lib.functionArgs (import file)) pkgs);
    testers.runNixOSTest = test: test;
    rustPlatform.buildRustPackage =
      attrs:
      let
        it = attrs (it // { finalPackage = it; });
      in
      it;
    inherit pkgs;
    stdenv.buildPlatform.canExecute = _: true;
    stdenv.hostPlatform = { };
  };
  outputs = flake.outputs {
    self = outputs;
    nixpkgs = {
      inherit lib;
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: pkgs);
    };
  };
  package = outputs.packages.x86_64-linux.default;
  systems = [
    "aarch64-linux"
    "x86_64-linux"
  ];

  # The test of the virtual machine, its machine as far as the stub has NixOS's options.
  vm = outputs.checks.x86_64-linux.vm;
  guest = ../../../tests/vm/guest;
  machine = harness.evaluate [
    vm.nodes.machine
    { _module.freeformType = lib.types.lazyAttrsOf lib.types.anything; }
  ];
in
{
  "the flake has what hosts import, on both systems" = {
    expr = {
      modules = lib.mapAttrs (_: builtins.pathExists) outputs.nixosModules;
      perSystem = map (output: builtins.attrNames outputs.${output}) [
        "packages"
        "devShells"
        "formatter"
        "checks"
      ];
      overlay = (outputs.overlays.default pkgs { }).opencode-backup.pname;
      formatter = outputs.formatter.x86_64-linux.name;
    };
    expected = {
      modules = {
        default = true;
        hetzner-vps = true;
      };
      perSystem = [
        systems
        systems
        systems
        systems
      ];
      overlay = "opencode-backup";
      formatter = "nixfmt-tree";
    };
  };
  "the virtual machine is set up like the one that is no NixOS" = {
    expr = {
      failed = harness.failed machine;
      settings = harness.withoutNulls (harness.settingsOf machine);
      inherit (harness.service machine) onFailure;
      files = builtins.all (name: builtins.pathExists (guest + "/etc/systemd/system/${name}.service")) [
        "bucket"
        "scenario"
        "told"
      ];
      mounts = map (mount: mount.where) machine.systemd.mounts;
      # The one place in the script where the driver listens is the one where the scenario speaks.
      told = lib.hasInfix (baseNameOf machine.systemd.services.scenario.environment.TOLD_TO) vm.testScript;
    };
    expected = {
      failed = [ ];
      # The defaults, but for the one file that the other one has.
      settings = lib.recursiveUpdate (harness.withoutNulls (harness.settingsOf harness.default)) (
        builtins.fromTOML (builtins.readFile (guest + "/etc/opencode-backup/config.toml"))
      );
      onFailure = [ "told.service" ];
      files = true;
      mounts = [
        "/persist"
        "/.snapshots"
      ];
      told = true;
    };
  };
  "the virtual machine needs no KVM, and closes /root by a rule, as the other one does" = {
    expr = {
      inherit (vm.requiredFeatures) kvm;
      rules = map (lib.elem "z /root 0700 root root -") [
        machine.systemd.tmpfiles.rules
        (lib.splitString "\n" (builtins.readFile (guest + "/etc/tmpfiles.d/root.conf")))
      ];
    };
    expected = {
      kvm = false;
      rules = [
        true
        true
      ];
    };
  };
  "of /bin and /usr/bin, the scenario starts what NixOS has there" = {
    expr =
      let
        texts = map (name: builtins.readFile (guest + "/${name}")) (
          map (name: "opt/vm/${name}") [
            "await"
            "b2_stub.py"
            "check.py"
            "guest.py"
            "make-disk"
            "s3"
            "scenario.py"
            "serve"
          ]
          ++ map (name: "etc/systemd/system/${name}.service") [
            "bucket"
            "bucket-b2"
            "opencode-memory-pod"
            "scenario"
            "told"
          ]
        );
        programs = text: map (lib.substring 0 4) (builtins.tail (lib.splitString "bin/" text));
      in
      lib.subtractLists [ "sh\n#" "sh -" "env " ] (lib.concatMap programs texts);
    expected = [ ];
  };
  "the lock is of what the flake asks for" = {
    expr =
      let
        inherit (lock.nodes.nixpkgs) original locked;
      in
      {
        url = "${original.type}:${original.owner}/${original.repo}/${original.ref}";
        rev = builtins.match "[0-9a-f]{40}" locked.rev != null;
        hash = builtins.match "sha256-[A-Za-z0-9+/]{43}=" locked.narHash != null;
      };
    expected = {
      inherit (flake.inputs.nixpkgs) url;
      rev = true;
      hash = true;
    };
  };
  "the package has the crate's version, its tools, and a main program" = {
    expr = {
      inherit (package) version;
      inherit (package.meta) mainProgram;
      sources = builtins.all builtins.pathExists package.src;
      # What a reviewer of nixpkgs asks for.
      inherit (package) doInstallCheck;
      versionCheck = map (hook: hook.name) package.nativeInstallCheckInputs;
      changelog = lib.hasInfix version package.meta.changelog;
      tests = builtins.attrNames package.passthru.tests;
      tools = map (tool: lib.hasInfix "-${tool}/bin" package.postInstall) [
        "btrfs-progs"
        "rclone"
        "util-linux"
      ];
    };
    expected = {
      inherit version;
      mainProgram = "opencode-backup";
      sources = true;
      doInstallCheck = true;
      versionCheck = [ "versionCheckHook" ];
      changelog = true;
      tests = builtins.attrNames (removeAttrs outputs.checks.x86_64-linux [ "package" ]);
      tools = [
        true
        true
        true
      ];
    };
  };
}
