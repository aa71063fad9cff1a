// The service on Azure Container Apps with a zone-redundant PostgreSQL, without passwords. README.md has the commands in
// their order, docs/azure.md the reasons.
targetScope = 'resourceGroup'

@description('Begins the names of all resources.')
@minLength(3)
@maxLength(10)
param name string = 'amplifier'

param location string = resourceGroup().location

@description('The image of the service, best by its digest: registry.azurecr.io/amplifier-api@sha256:...')
param image string

@description('The registry that the identities may pull from, for example registry.azurecr.io.')
param registry string

@description('The Entra group whose members administer the database: its object id.')
param administratorsId string

@description('The name of that group, which is its login.')
param administratorsName string

@description('Host names by which clients call the service, by commas. Without them any host counts.')
param allowedHosts string = ''

@description('Where alerts are sent.')
param alertAddress string

@description('Signs tokens. Given at the first deployment; without it the vault keeps what it has.')
@secure()
param secretKey string = ''

@description('Encrypts secrets in configs. Given at the first deployment.')
@secure()
param configEncryptionKey string = ''

@description('2 vCores and 8 GiB: up to 859 connections.')
param databaseSku string = 'Standard_D2ds_v5'

@minValue(32)
param databaseStorage int = 128

@minValue(2)
param maxReplicas int = 10

@description('What to delete every night, as arguments of amplifier-api retention: --prune, runs=90d, --apply. Nothing without.')
param retention array = []

@description('Connections of each replica; with maxReplicas they stay below those of databaseSku.')
param poolSize int = 10

// names of servers and vaults are unique in the whole of Azure
var uniqueName = '${name}-${uniqueString(resourceGroup().id)}'

module network 'modules/network.bicep' = {
  name: 'network'
  params: {
    name: name
    location: location
  }
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    name: name
    location: location
  }
}

module telemetry 'modules/telemetry.bicep' = {
  name: 'telemetry'
  params: {
    name: name
    location: location
  }
}

module database 'modules/database.bicep' = {
  name: 'database'
  params: {
    name: uniqueName
    location: location
    sku: databaseSku
    storage: databaseStorage
    administratorsId: administratorsId
    administratorsName: administratorsName
    migrateId: identities.outputs.migratePrincipal
    migrateName: identities.outputs.migrateName
    subnet: network.outputs.endpointSubnet
    zone: network.outputs.databaseZone
    workspace: telemetry.outputs.workspace
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    name: uniqueName
    location: location
    readers: [identities.outputs.servicePrincipal, identities.outputs.migratePrincipal]
    subnet: network.outputs.endpointSubnet
    zone: network.outputs.vaultZone
    workspace: telemetry.outputs.workspace
    insights: telemetry.outputs.component
    secretKey: secretKey
    configEncryptionKey: configEncryptionKey
  }
}

module service 'modules/service.bicep' = {
  name: 'service'
  params: {
    name: name
    location: location
    image: image
    registry: registry
    allowedHosts: allowedHosts
    databaseHost: database.outputs.host
    vaultUrl: vault.outputs.url
    identity: identities.outputs.service
    identityClient: identities.outputs.serviceClient
    identityName: identities.outputs.serviceName
    subnet: network.outputs.serviceSubnet
    workspace: telemetry.outputs.workspace
    maxReplicas: maxReplicas
    poolSize: poolSize
  }
}

module jobs 'modules/jobs.bicep' = {
  name: 'jobs'
  params: {
    name: name
    location: location
    image: image
    registry: registry
    environment: service.outputs.environment
    settings: service.outputs.settings
    identity: identities.outputs.migrate
    identityClient: identities.outputs.migrateClient
    identityName: identities.outputs.migrateName
    serviceName: identities.outputs.serviceName
    retention: retention
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    name: name
    location: location
    address: alertAddress
    database: database.outputs.id
    connections: maxReplicas * (poolSize + 1)
    app: service.outputs.app
    host: service.outputs.host
    component: telemetry.outputs.component
    workspace: telemetry.outputs.workspace
  }
}

output url string = 'https://${service.outputs.host}'
output databaseHost string = database.outputs.host
output vaultUrl string = vault.outputs.url
output serviceName string = identities.outputs.serviceName
output serviceClient string = identities.outputs.serviceClient
output migrateName string = identities.outputs.migrateName
output migrateClient string = identities.outputs.migrateClient
output migrateJob string = jobs.outputs.migrateJob
