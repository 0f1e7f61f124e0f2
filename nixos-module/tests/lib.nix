# As much of nixpkgs' `lib` as the module and its tests use, so that they run where there is no
# nixpkgs: the module system with the types of the options here, and a few list functions.
#
# The rules are those of the NixOS manual ("Writing NixOS Modules"); the messages hold the option's
# name. `nix flake check` runs the same tests under the real `lib`.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    catAttrs
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    functionArgs
    head
    intersectAttrs
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    mapAttrs
    match
    partition
    replaceStrings
    sort
    stringLength
    substring
    tail
    toJSON
    ;

  # Lists, strings and sets.

  optionals = condition: list: if condition then list else [ ];
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  filterAttrs =
    keep: set:
    listToAttrs (
      map (name: nameValuePair name set.${name}) (filter (name: keep name set.${name}) (attrNames set))
    );
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  unique = foldl' (seen: item: if elem item seen then seen else seen ++ [ item ]) [ ];
  last = list: elemAt list (length list - 1);
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  splitString = separator: text: filter isString (builtins.split (quoted separator) text);
  quoted =
    replaceStrings
      [
        "\\"
        "."
        "+"
        "*"
        "?"
        "("
        ")"
        "["
        "]"
        "{"
        "}"
        "^"
        "$"
        "|"
      ]
      [
        "\\\\"
        "\\."
        "\\+"
        "\\*"
        "\\?"
        "\\("
        "\\)"
        "\\["
        "\\]"
        "\\{"
        "\\}"
        "\\^"
        "\\$"
        "\\|"
      ];
  recursiveUpdate =
    one: other:
    one
    // mapAttrs (
      name: value:
      if isAttrs value && one ? ${name} && isAttrs one.${name} then
        recursiveUpdate one.${name} value
      else
        value
    ) other;

  # Properties: what a definition is beside its value.

  property = kind: attrs: attrs // { _type = kind; };
  kindOf = value: if isAttrs value then value._type or "" else "";
  mkIf = condition: content: property "if" { inherit condition content; };
  mkMerge = contents: property "merge" { inherit contents; };
  mkOverride = priority: content: property "override" { inherit priority content; };
  mkOrder = order: content: property "order" { inherit order content; };

  # The single definitions in one, each with its priority (the lowest number wins) and its place.
  definitions =
    value:
    {
      "if" = if value.condition then definitions value.content else [ ];
      merge = concatMap definitions value.contents;
      override = map (def: def // { inherit (value) priority; }) (definitions value.content);
      order = map (def: def // { inherit (value) order; }) (definitions value.content);
    }
    .${kindOf value} or [
      {
        inherit value;
        priority = 100;
        order = 1000;
      }
    ];

  # The sets in one definition, its property on every value instead: names are known before a
  # condition is.
  sets =
    value:
    let
      onEach = make: map (mapAttrs (_: make)) (sets value.content);
    in
    {
      "if" = onEach (mkIf value.condition);
      merge = concatMap sets value.contents;
      override = onEach (mkOverride value.priority);
      order = onEach (mkOrder value.order);
    }
    .${kindOf value} or [ value ];

  showOption = concatStringsSep ".";
  fail = loc: text: throw "The option `${showOption loc}' ${text}";

  # What several definitions of one type are together.
  merge =
    loc: type: values:
    let
      defs = concatMap definitions values;
      highest = foldl' (least: def: if def.priority < least then def.priority else least) 9999 defs;
      kept = sort (one: other: one.order < other.order) (filter (def: def.priority == highest) defs);
      wrong = filter (def: !type.check def.value) kept;
    in
    if defs == [ ] then
      fail loc "was accessed but has no value defined."
    else if wrong != [ ] then
      throw "A definition for option `${showOption loc}' is not of type `${type.description}'."
    else
      type.merge loc kept;

  mergeEqualOption =
    loc: defs:
    if all (def: def.value == (head defs).value) defs then
      (head defs).value
    else
      fail loc "has conflicting definition values.";

  # Types.

  mkOptionType =
    attrs:
    {
      description = attrs.name;
      check = _: true;
      merge = mergeEqualOption;
      getSubOptions = _: { };
    }
    // attrs;
  simple = name: check: mkOptionType { inherit name check; };
  setOf =
    keepEmpty: element:
    mkOptionType {
      name = "attribute set of ${element.description}";
      check = isAttrs;
      getSubOptions = loc: element.getSubOptions (loc ++ [ "<name>" ]);
      merge =
        loc: defs:
        let
          values = concatMap (def: sets def.value) defs;
          all = mapAttrs (_: concatMap definitions) (builtins.zipAttrsWith (_: values: values) values);
        in
        mapAttrs (name: _: merge (loc ++ [ name ]) element (catAttrs name values)) (
          if keepEmpty then all else filterAttrs (_: defs: defs != [ ]) all
        );
    };
  types = {
    str = simple "string" isString;
    bool = simple "boolean" isBool;
    int = simple "signed integer" isInt;
    float = simple "floating point number" isFloat;
    path = simple "absolute path" (value: isPath value || isString value && hasPrefix "/" value);
    package = simple "package" (value: isAttrs value && value.type or "" == "derivation");
    ints = {
      positive = simple "positive integer, meaning >0" (value: isInt value && value > 0);
      unsigned = simple "unsigned integer, meaning >=0" (value: isInt value && value >= 0);
    };
    strMatching =
      pattern:
      simple "string matching the pattern ${pattern}" (
        value: isString value && match pattern value != null
      );
    enum =
      values: simple "one of ${concatStringsSep ", " (map toJSON values)}" (value: elem value values);
    attrs = mkOptionType {
      name = "attribute set";
      check = isAttrs;
      merge = _: foldl' (set: def: set // def.value) { };
    };
    unspecified = mkOptionType { name = "unspecified value"; };
    anything = mkOptionType {
      name = "anything";
      merge =
        loc: defs:
        if all (def: isAttrs def.value) defs then
          (types.lazyAttrsOf types.anything).merge loc defs
        else
          mergeEqualOption loc defs;
    };
    attrsOf = setOf false;
    lazyAttrsOf = setOf true;
    listOf =
      element:
      mkOptionType {
        name = "list of ${element.description}";
        check = isList;
        getSubOptions = loc: element.getSubOptions (loc ++ [ "*" ]);
        merge =
          loc: defs:
          map (value: merge loc element [ value ]) (
            filter (value: definitions value != [ ]) (concatMap (def: def.value) defs)
          );
      };
    nullOr =
      element:
      mkOptionType {
        name = "null or ${element.description}";
        check = value: value == null || element.check value;
        inherit (element) getSubOptions;
        merge =
          loc: defs:
          let
            nulls = partition (def: def.value == null) defs;
          in
          if nulls.wrong == [ ] then
            null
          else if nulls.right == [ ] then
            element.merge loc defs
          else
            fail loc "is defined both null and not null.";
      };
    either =
      one: other:
      mkOptionType {
        name = "${one.description} or ${other.description}";
        check = value: one.check value || other.check value;
        merge =
          loc: defs:
          if all (def: one.check def.value) defs then
            one.merge loc defs
          else if all (def: other.check def.value) defs then
            other.merge loc defs
          else
            mergeEqualOption loc defs;
      };
    oneOf = list: foldl' types.either (head list) (tail list);
    submodule =
      module:
      let
        evaluate =
          loc: configs:
          evalModules {
            prefix = loc;
            modules = [
              module
              { _module.args.name = last loc; }
            ]
            ++ map (config: { inherit config; }) configs;
          };
      in
      mkOptionType {
        name = "submodule";
        check = isAttrs;
        getSubOptions = loc: removeAttrs (evaluate loc [ ]).options [ "_module" ];
        merge = loc: defs: removeAttrs (evaluate loc (map (def: def.value) defs)).config [ "_module" ];
      };
  };

  # Modules.

  mkOption = property "option";
  isOption = value: kindOf value == "option";

  ownOptions._module = {
    args = mkOption { type = types.lazyAttrsOf types.unspecified; };
    freeformType = mkOption {
      type = types.unspecified;
      default = null;
    };
  };

  # A module and those that it imports, each once.
  load =
    arguments: seen: module:
    let
      loaded = if isPath module then import module else module;
      it = if isFunction loaded then loaded (arguments loaded) else loaded;
      key = it.key or (if isPath module then toString module else null);
      inside = removeAttrs it [
        "key"
        "_class"
        "imports"
        "options"
        "config"
        "freeformType"
      ];
      plain = {
        options = it.options or { };
        configs =
          (if it ? options || it ? config then [ (it.config or { }) ] else [ inside ])
          ++ optionals (it ? freeformType) [ { _module = { inherit (it) freeformType; }; } ];
      };
    in
    if key != null && seen ? keys && elem key seen.keys then
      seen
    else
      foldl' (load arguments) {
        keys = seen.keys ++ optionals (key != null) [ key ];
        modules = seen.modules ++ [ plain ];
      } (it.imports or [ ]);

  # Options of several modules as one tree.
  mergeOptions =
    prefix: trees:
    builtins.zipAttrsWith (
      name: values:
      let
        loc = prefix ++ [ name ];
      in
      if !any isOption values then
        mergeOptions loc values
      else if length values == 1 then
        head values // { inherit loc; }
      else
        fail loc "is declared twice."
    ) trees;

  # The values of a tree of options, and the definitions that are of none.
  mergeTree =
    loc: options: configs:
    let
      below = mapAttrs (
        name: option:
        let
          inner = catAttrs name configs;
        in
        if isOption option then
          {
            value = (option.apply or (value: value)) (
              merge option.loc option.type (
                inner ++ optionals (option ? default) [ (mkOverride 1500 option.default) ]
              )
            );
            unmatched = [ ];
          }
        else
          mergeTree (loc ++ [ name ]) option (concatMap sets inner)
      ) options;
      nested = concatLists (
        mapAttrsToList (name: it: map (value: { ${name} = value; }) it.unmatched) below
      );
    in
    {
      value = mapAttrs (_: it: it.value) below;
      unmatched =
        filter (set: set != { }) (map (set: removeAttrs set (attrNames options)) configs) ++ nested;
    };

  evalModules =
    {
      modules,
      prefix ? [ ],
      ...
    }:
    let
      arguments =
        module:
        {
          inherit config options lib;
        }
        // mapAttrs (name: _: tree.value._module.args.${name}) (
          removeAttrs (functionArgs module) [
            "config"
            "options"
            "lib"
          ]
        );
      loaded =
        (foldl' (load arguments) {
          keys = [ ];
          modules = [ ];
        } modules).modules;
      options = mergeOptions prefix ([ ownOptions ] ++ catAttrs "options" loaded);
      tree = mergeTree prefix options (concatMap sets (concatLists (catAttrs "configs" loaded)));
      freeform = tree.value._module.freeformType;
      config =
        if tree.unmatched == [ ] then
          tree.value
        else if freeform != null then
          recursiveUpdate (merge prefix freeform tree.unmatched) tree.value
        else
          fail (prefix ++ deepest (head tree.unmatched)) "does not exist.";
      deepest =
        set:
        let
          name = head (attrNames set);
        in
        [ name ]
        ++ optionals (length (attrNames set) == 1 && isAttrs set.${name} && set.${name} != { }) (
          deepest set.${name}
        );
    in
    {
      inherit config options;
    };

  optionAttrSetToDocList =
    tree:
    concatMap (
      option:
      if isOption option then
        [
          {
            inherit (option) loc;
            name = showOption option.loc;
            inherit option;
          }
        ]
        ++ optionAttrSetToDocList (option.type.getSubOptions option.loc)
      else if isAttrs option then
        optionAttrSetToDocList option
      else
        [ ]
    ) (attrValues tree);

  lib = {
    inherit
      any
      concatLists
      concatMap
      concatStringsSep
      elem
      evalModules
      filter
      filterAttrs
      functionArgs
      genAttrs
      hasPrefix
      intersectAttrs
      last
      mapAttrs
      mapAttrsToList
      mergeEqualOption
      mkIf
      mkMerge
      mkOption
      mkOptionType
      mkOverride
      nameValuePair
      optionAttrSetToDocList
      optionals
      recursiveUpdate
      replaceStrings
      showOption
      sort
      splitString
      substring
      types
      unique
      ;
    mkBefore = mkOrder 500;
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    mkEnableOption =
      what:
      mkOption {
        type = types.bool;
        default = false;
        description = "Whether to enable ${what}.";
      };
    literalExpression = text: property "literalExpression" { inherit text; };
    concatStrings = concatStringsSep "";
    concatMapStringsSep =
      separator: f: list:
      concatStringsSep separator (map f list);
    filterAttrsRecursive =
      keep: set:
      mapAttrs (_: value: if isAttrs value then lib.filterAttrsRecursive keep value else value) (
        filterAttrs keep set
      );
    foldl = foldl';
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    hasInfix = infix: text: length (splitString infix text) > 1;
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    makeBinPath = packages: concatStringsSep ":" (map (package: "${package}/bin") packages);
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    optional = condition: item: optionals condition [ item ];
    optionalAttrs = condition: set: if condition then set else { };
    optionalString = condition: text: if condition then text else "";
    removePrefix =
      prefix: text:
      if hasPrefix prefix text then substring (stringLength prefix) (stringLength text) text else text;
    subtractLists = without: filter (item: !elem item without);
    toList = value: if isList value then value else [ value ];
    runTests =
      tests:
      concatLists (
        mapAttrsToList (
          name: test:
          optionals (test.expr != test.expected) [
            {
              inherit name;
              inherit (test) expected;
              result = test.expr;
            }
          ]
        ) tests
      );
    licenses = {
      mit = { };
      asl20 = { };
    };
    platforms.linux = [ ];
  };
in
lib
