# Run as administrator in the folder of this file, after `sepe node init C:\ProgramData\Sepe\node ...`.
# Operators record with their own accounts: they are in the group Users, who may write the node's folder.
$ErrorActionPreference = 'Stop'
$data = 'C:\ProgramData\Sepe'
New-Item -ItemType Directory -Force -Path "$data\logs" | Out-Null
& .\sepe-node.exe install
if ($LASTEXITCODE -ne 0) { throw "sepe-node.exe install failed with $LASTEXITCODE" }
# Inheritance off: administrators, the service and the office's people, nobody else.
icacls $data /inheritance:r /grant 'Administrators:(OI)(CI)F' 'SYSTEM:(OI)(CI)F' 'NT SERVICE\sepe-node:(OI)(CI)M' 'Users:(OI)(CI)M'
if ($LASTEXITCODE -ne 0) { throw "icacls failed with $LASTEXITCODE" }
& .\sepe-node.exe start
Write-Output 'Seen at http://127.0.0.1:7490/'
