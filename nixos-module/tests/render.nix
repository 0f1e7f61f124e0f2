# Unit files out of what `units.nix` says: `{ "opencode-backup.service" = "[Unit]…"; … }`. Builtins
# only.
#
# On NixOS the module system does this; elsewhere, and in the virtual machine, this does. Keys come
# in the order in which Nix keeps them, the alphabet's, which is nothing to systemd: only the order
# of one key's own lines counts.
units:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    isList
    ;

  asList = value: if isList value then value else [ value ];

  section =
    name: values:
    [ "[${name}]" ]
    ++ concatMap (key: map (value: "${key}=${value}") (asList values.${key})) (attrNames values);

  # Sections in systemd's customary order, an empty line between two.
  file =
    sections:
    concatStringsSep "\n\n" (
      map (entry: concatStringsSep "\n" (section entry.name entry.values)) sections
    )
    + "\n";

  of = name: values: { inherit name values; };

  # A service and its timer, the timer where there is one.
  pair =
    name: unit:
    {
      "${name}.service" = file [
        (of "Unit" unit.service.Unit)
        (of "Service" unit.service.Service)
      ];
    }
    // (
      if unit.timer == null then
        { }
      else
        {
          "${name}.timer" = file [
            (of "Unit" unit.timer.Unit)
            (of "Timer" unit.timer.Timer)
            (of "Install" unit.timer.Install)
          ];
        }
    );

  # A line of tmpfiles.d(5) for each type of rule on a path.
  rules =
    path:
    map (
      type:
      let
        rule = units.tmpfiles.${path}.${type};
        field = name: rule.${name} or "-";
      in
      concatStringsSep " " (
        [
          type
          path
        ]
        ++ map field [
          "mode"
          "user"
          "group"
          "age"
        ]
      )
      + "\n"
    ) (attrNames units.tmpfiles.${path});
in
pair "opencode-backup" units
// (if units.drill == null then { } else pair "opencode-backup-drill" units.drill)
// (
  if units.tmpfiles == { } then
    { }
  else
    {
      "opencode-backup.tmpfiles.conf" = concatStringsSep "" (concatMap rules (attrNames units.tmpfiles));
    }
)
