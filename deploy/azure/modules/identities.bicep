// Two identities, because the login that migrates owns the tables, and the one that serves must not.
param name string
param location string

resource service 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-api'
  location: location
}

resource migrate 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-migrate'
  location: location
}

output service string = service.id
output serviceName string = service.name
output serviceClient string = service.properties.clientId
output servicePrincipal string = service.properties.principalId
output migrate string = migrate.id
output migrateName string = migrate.name
output migrateClient string = migrate.properties.clientId
output migratePrincipal string = migrate.properties.principalId
