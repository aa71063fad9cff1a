// The secrets, on a private address. Deleted ones can be restored for 90 days, and nobody can shorten that.
param name string
param location string
param readers array
param subnet string
param zone string
param workspace string
param insights string

@secure()
param secretKey string

@secure()
param configEncryptionKey string

// Key Vault Secrets User
var roleId = '4633458b-17de-408a-b874-0445c86b69e6'
var secretsUser = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: 'Disabled'
    networkAcls: {
      defaultAction: 'Deny'
      bypass: 'AzureServices'
    }
  }
}

resource rights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for reader in readers: {
    scope: vault
    name: guid(vault.id, reader, secretsUser)
    properties: {
      principalId: reader
      principalType: 'ServicePrincipal'
      roleDefinitionId: secretsUser
    }
  }
]

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: last(split(insights, '/'))
}

// A deployment writes them through the management plane, which the vault's network rules do not concern.
resource signing 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(secretKey)) {
  parent: vault
  name: 'secret-key'
  properties: {
    value: secretKey
    contentType: 'SECRET_KEY'
  }
}

resource encryption 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(configEncryptionKey)) {
  parent: vault
  name: 'config-encryption-key'
  properties: {
    value: configEncryptionKey
    contentType: 'CONFIG_ENCRYPTION_KEY'
  }
}

resource connection 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = {
  parent: vault
  name: 'app-insights'
  properties: {
    value: component.properties.ConnectionString
    contentType: 'APP_INSIGHTS_CONNECTION_STRING'
  }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: '${name}-vault'
  location: location
  properties: {
    subnet: {
      id: subnet
    }
    privateLinkServiceConnections: [
      {
        name: 'vault'
        properties: {
          privateLinkServiceId: vault.id
          groupIds: ['vault']
        }
      }
    ]
  }
}

resource endpointNames 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'vault'
        properties: {
          privateDnsZoneId: zone
        }
      }
    ]
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'audit'
  properties: {
    workspaceId: workspace
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

output url string = vault.properties.vaultUri
