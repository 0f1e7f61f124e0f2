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
in
{
  "opencode-backup.service" = file [
    (of "Unit" units.service.Unit)
    (of "Service" units.service.Service)
  ];
}
// (
  if units.timer == null then
    { }
  else
    {
      "opencode-backup.timer" = file [
        (of "Unit" units.timer.Unit)
        (of "Timer" units.timer.Timer)
        (of "Install" units.timer.Install)
      ];
    }
)
// (
  if units.tmpfiles == [ ] then
    { }
  else
    { "opencode-backup.tmpfiles.conf" = concatStringsSep "\n" units.tmpfiles + "\n"; }
)
