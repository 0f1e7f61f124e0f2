# The module under `lib.nix`, or under nixpkgs' real `lib` where NIXPKGS_LIB names a checkout of
# nixpkgs or its `lib` directory:
#
#   nix-instantiate --eval --strict --json nixos-module/tests/module.nix -A failures     # []
#
# Nix cannot catch a message, so whoever runs this evaluates each of `refused` on its own: it must
# fail, in words that hold its name, the option's. And the files that the module would write are for
# the binary to read: `accepted`, each with the settings it must find in it, and `unbuildable`, each
# with the key it must name.
{
  lib ? import (
    let
      named = builtins.getEnv "NIXPKGS_LIB";
      checkout = "${named}/lib/default.nix";
    in
    if named == "" then
      ./lib.nix
    else if builtins.pathExists checkout then
      checkout
    else
      named
  ),
}:
let
  harness = import ./module/harness.nix { inherit lib; };
  inherit (harness)
    changed
    default
    evaluate
    failed
    of
    optionNames
    settingsOf
    ;
  toml = import ./toml.nix;

  refused = import ./module/refused.nix { inherit (harness) of with' checked; };

  group = file: import file { inherit lib harness; };
  tests =
    group ./module/defaults.nix
    // group ./module/options.nix
    // group ./module/drill.nix
    // group ./module/host.nix
    // group ./module/profile.nix
    // group ./module/flake.nix
    // group ./module/warnings.nix
    // lib.mapAttrs' (
      words: config:
      lib.nameValuePair "refused: ${words}" {
        expr = map (lib.hasPrefix words) (failed config);
        expected = [ true ];
      }
    ) refused.assertions;

  # All that a host would look at.
  evaluated =
    ours:
    let
      config = evaluate [
        ../default.nix
        { services.opencode-backup.enable = lib.mkDefault true; }
        { services.opencode-backup = ours; }
      ];
      it = config.services.opencode-backup;
    in
    builtins.deepSeq [
      (removeAttrs it [ "package" ])
      it.package.outPath
      (failed config)
    ] "was accepted";

  # Options whose type nobody tries; `drill` alone holds nothing but options.
  untried = builtins.filter (
    name:
    let
      as = dataset: refused.values ? ${lib.replaceStrings [ "<name>" ] [ dataset ] name};
    in
    !(as "a" || as "falkordb")
  ) (map (lib.removePrefix "services.opencode-backup.") optionNames);
  refusals = lib.mapAttrs' (
    name: value: lib.nameValuePair "services.opencode-backup.${name}" (evaluated value)
  ) refused.values;
in
{
  failures =
    lib.runTests (lib.mapAttrs' (name: lib.nameValuePair "test ${name}") tests)
    ++ map (name: {
      name = "module/refused.nix tries a wrong value on ${name}";
      expected = true;
      result = false;
    }) untried
    ++
      map
        (name: {
          name = "${name} refuses the wrong value in module/refused.nix";
          expected = false;
          result = true;
        })
        (builtins.filter (name: (builtins.tryEval refusals.${name}).success) (builtins.attrNames refusals));
  count = builtins.length (builtins.attrNames tests);

  refused = refusals;
  refusedNames = builtins.attrNames refusals;

  accepted =
    map
      (config: {
        toml = toml (settingsOf config);
        settings = settingsOf config;
      })
      [
        default
        changed
      ];

  unbuildable = lib.mapAttrs (
    _: settings:
    toml (
      settingsOf (of {
        inherit settings;
      })
    )
  ) (import ./module/unbuildable.nix);
}
