# What `nix flake check` runs. Everything in here but the package and the virtual machine also runs
# without a flake and without a build: `cargo xtask nix-test`.
{
  pkgs,
  package,
}:
let
  inherit (pkgs) lib;
  golden = import ./golden.nix;
  tests = import ./module.nix { inherit lib; };

  # Evaluated before anything is built; the build only says it.
  none =
    name: failures:
    pkgs.runCommand "opencode-backup-${name}"
      {
        failures = builtins.toJSON failures;
        passAsFile = [ "failures" ];
        nativeBuildInputs = [ pkgs.jq ];
      }
      ''
        jq . "$failuresPath"
        jq --exit-status '. == []' "$failuresPath" > "$out"
      '';
in
{
  inherit package;

  vm = import ./vm.nix { inherit pkgs package; };

  units = none "units" golden.differences;

  module = none "module" tests.failures;

  # What the module writes, and what no type refuses, read by the binary.
  configuration =
    pkgs.runCommand "opencode-backup-configuration"
      {
        cases = builtins.toJSON { inherit (tests) accepted unbuildable; };
        passAsFile = [ "cases" ];
        nativeBuildInputs = [
          package
          pkgs.jq
        ];
      }
      ''
        without_nulls='walk(if type == "object" then with_entries(select(.value != null)) else . end)'

        opencode-backup --config /dev/null config --json > effective
        diff <(jq --sort-keys . effective) <(jq --sort-keys . ${./defaults.json})

        for n in 0 1; do
          jq --raw-output ".accepted[$n].toml" "$casesPath" > config.toml
          opencode-backup --config config.toml config --json > effective
          diff <(jq --sort-keys "$without_nulls" effective) \
            <(jq --sort-keys ".accepted[$n].settings" "$casesPath")
        done

        jq --raw-output '.unbuildable | keys[]' "$casesPath" | while read -r key; do
          jq --raw-output --arg key "$key" '.unbuildable[$key]' "$casesPath" > config.toml
          code=0
          opencode-backup --log stderr --config config.toml config 2> said || code=$?
          [ "$code" = 2 ]
          grep --fixed-strings ": $key: " said
        done
        touch "$out"
      '';
}
