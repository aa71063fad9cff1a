using 'main.bicep'

param name = 'amplifier'
param image = 'example.azurecr.io/amplifier-api:1.0.0'
param registry = 'example.azurecr.io'
param administratorsId = '00000000-0000-0000-0000-000000000000'
param administratorsName = 'database-administrators'
param alertAddress = 'operators@example.com'
// given on the command line at the first deployment only
param secretKey = readEnvironmentVariable('SECRET_KEY', '')
param configEncryptionKey = readEnvironmentVariable('CONFIG_ENCRYPTION_KEY', '')
