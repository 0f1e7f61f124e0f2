# A configuration as TOML, for the binary to read where nixpkgs' own writer is not at hand. Builtins
# only, and no more of TOML than a configuration needs: one inline table for each table, whose
# strings are JSON's.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    isAttrs
    isList
    toJSON
    ;

  value =
    it:
    if isAttrs it then
      "{ ${concatStringsSep ", " (map (name: "${toJSON name} = ${value it.${name}}") (attrNames it))} }"
    else if isList it then
      "[ ${concatStringsSep ", " (map value it)} ]"
    else
      toJSON it;
in
settings:
concatStringsSep "" (
  map (name: "${toJSON name} = ${value settings.${name}}\n") (attrNames settings)
)
