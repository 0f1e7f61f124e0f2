# The package: the binary with the tools it runs, its completions and its manual pages.
{
  lib,
  stdenv,
  pkgs,
  rustPlatform,
  makeBinaryWrapper,
  installShellFiles,
  btrfs-progs,
  rclone,
  util-linux,
  versionCheckHook,
}:
let
  inherit (lib) fileset;
in
rustPlatform.buildRustPackage (finalAttrs: {
  pname = "opencode-backup";
  version = (lib.importTOML ../Cargo.toml).workspace.package.version;

  # The whole workspace, since Cargo reads the manifest of every member; nothing that changes
  # without the binary.
  src = fileset.toSource {
    root = ../.;
    fileset = fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      ../tests
      ../xtask
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [
    makeBinaryWrapper
    installShellFiles
  ];

  cargoBuildFlags = [
    "--package"
    "opencode-backup"
  ];

  # The wrapper starts, and the version is the one above.
  nativeInstallCheckInputs = [ versionCheckHook ];
  doInstallCheck = true;

  # A build sandbox has no root, no loop device and no network: the unit tests alone. The rest is
  # `cargo xtask test`'s.
  nativeCheckInputs = [ util-linux ];
  cargoTestFlags = [
    "--package"
    "opencode-backup"
    "--lib"
    "--bins"
  ];
  # Who may change what: in a sandbox, root's own files belong to nobody.
  checkFlags = [ "--skip=preflight::trust" ];

  # A binary wrapper: with capabilities in hand, no shell should stand between systemd and us.
  postInstall = ''
    wrapProgram "$out/bin/opencode-backup" \
      --prefix PATH : ${
        lib.makeBinPath [
          btrfs-progs
          rclone
          util-linux
        ]
      }
  ''
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    installShellCompletion --cmd opencode-backup \
      --bash <("$out/bin/opencode-backup" completions bash) \
      --fish <("$out/bin/opencode-backup" completions fish) \
      --zsh <("$out/bin/opencode-backup" completions zsh)
    mkdir man
    "$out/bin/opencode-backup" man --to man
    installManPage man/*.1
  '';

  passthru.tests = removeAttrs (import ./tests {
    inherit pkgs;
    package = finalAttrs.finalPackage;
  }) [ "package" ];

  meta = {
    description = "Btrfs snapshots of an AI assistant's memory, uploaded to Backblaze B2, proven and pruned";
    # OWNER: the repository has no public address yet, hence neither homepage nor maintainers.
    changelog = "https://github.com/OWNER/opencode-backup/blob/v${finalAttrs.version}/CHANGELOG.md";
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "opencode-backup";
    platforms = lib.platforms.linux;
  };
})
