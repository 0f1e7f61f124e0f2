{
  description = "Backups of an AI assistant's memory: Btrfs snapshots, uploaded to Backblaze B2, proven and pruned";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      # What systemd, Btrfs and capabilities are on.
      eachSystem =
        make:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: make nixpkgs.legacyPackages.${system} self.packages.${system}.default);
    in
    {
      packages = eachSystem (
        pkgs: _: rec {
          default = opencode-backup;
          opencode-backup = pkgs.callPackage ./nixos-module/package.nix { };
        }
      );

      overlays.default = final: _: {
        opencode-backup = final.callPackage ./nixos-module/package.nix { };
      };

      nixosModules = {
        default = ./nixos-module/default.nix;
        hetzner-vps = ./nixos-module/hetzner-vps.nix;
      };

      devShells = eachSystem (
        pkgs: package: {
          default = pkgs.mkShell {
            inputsFrom = [ package ];
            packages = with pkgs; [
              clippy
              rustfmt
              rust-analyzer
              btrfs-progs
              rclone
              valkey
            ];
          };
        }
      );

      formatter = eachSystem (pkgs: _: pkgs.nixfmt-tree);

      checks = eachSystem (pkgs: package: import ./nixos-module/tests { inherit pkgs package; });
    };
}
