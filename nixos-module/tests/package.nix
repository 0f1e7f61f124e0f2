# What `package.nix` builds and tests, for `cargo xtask sandbox`. Builtins only: nixpkgs' functions
# return their arguments.
let
  lib = {
    fileset = {
      toSource = source: source.fileset;
      unions = map toString;
    };
    importTOML = file: builtins.fromTOML (builtins.readFile file);
  };
  package = import ../package.nix (
    builtins.mapAttrs (name: _: name) (builtins.functionArgs (import ../package.nix))
    // {
      inherit lib;
      rustPlatform.buildRustPackage = attrs: attrs { };
    }
  );
in
{
  inherit (package)
    src
    cargoTestFlags
    checkFlags
    nativeCheckInputs
    ;
}
