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
    rustPlatform.buildRustPackage = attrs: attrs;
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
      tools = [
        true
        true
        true
      ];
    };
  };
}
