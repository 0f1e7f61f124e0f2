# docs/nixos-options.md out of options.nix. `cargo xtask nix-test --bless` writes it.
let
  lib = import ./lib.nix;
  options =
    (lib.evalModules {
      modules = [
        (import ./stub.nix { inherit lib; })
        ../options.nix
      ];
    }).options.services.opencode-backup;
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    isAttrs
    isList
    replaceStrings
    split
    toJSON
    ;

  # A value as Nix has it, on one line.
  nix =
    value:
    if value._type or "" == "literalExpression" then
      value.text
    else if value == { } then
      "{ }"
    else if isAttrs value then
      "{ ${concatStringsSep " " (map (name: "${name} = ${nix value.${name}};") (attrNames value))} }"
    else if value == [ ] then
      "[ ]"
    else if isList value then
      "[ ${concatStringsSep " " (map nix value)} ]"
    else
      toJSON value;

  # NixOS's markup: {option}`…` and the like.
  prose =
    text:
    concatStringsSep "" (filter builtins.isString (split "[{](option|manpage)[}]" (oneLine text)));
  oneLine =
    text:
    let
      words = filter (word: builtins.isString word && word != "") (split "[ \n]+" text);
    in
    concatStringsSep " " words;

  code = text: "`${oneLine text}`";
  # The type of a table says nothing: its options follow.
  section =
    { name, option, ... }:
    concatStringsSep "\n" (
      [
        "## `${name}`"
        ""
        (prose option.description)
        ""
        "- Type: ${replaceStrings [ "submodule" ] [ "table" ] option.type.description}"
      ]
      ++ (
        if option ? defaultText then
          [ "- Default: ${code (nix option.defaultText)}" ]
        else if option ? default then
          [ "- Default: ${code (nix option.default)}" ]
        else
          [ ]
      )
      ++ (if option ? example then [ "- Example: ${code (nix option.example)}" ] else [ ])
      ++ [ "" ]
    );
in
''
  # Options of the NixOS module

  Written by `cargo xtask nix-test --bless` from `nixos-module/options.nix`; do not edit it.
  [nixos.md](nixos.md) says how the module is used.

''
+ concatStringsSep "\n" (map section (lib.optionAttrSetToDocList options))
