// PostgreSQL in two zones, for Entra logins only, on a private address, with 35 days of backups in two regions.
param name string
param location string
param sku string
param storage int
param administratorsId string
param administratorsName string
param migrateId string
param migrateName string
param subnet string
param zone string
param workspace string

// Each is set after the other: the server takes one change at a time.
var parameters = [
  {
    name: 'require_secure_transport'
    value: 'ON'
  }
  {
    name: 'ssl_min_protocol_version'
    value: 'TLSv1.2'
  }
  {
    // for `amplifier-api queries top`
    name: 'azure.extensions'
    value: 'PG_STAT_STATEMENTS'
  }
  {
    name: 'pg_stat_statements.track'
    value: 'TOP'
  }
  {
    name: 'log_min_duration_statement'
    value: '1000'
  }
  {
    name: 'log_lock_waits'
    value: 'ON'
  }
  {
    name: 'log_checkpoints'
    value: 'ON'
  }
  {
    // a statement of the service takes 5 s at most; a forgotten transaction of a person holds locks for no longer than this
    name: 'idle_in_transaction_session_timeout'
    value: '60000'
  }
]

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: name
  location: location
  sku: {
    name: sku
    tier: 'GeneralPurpose'
  }
  properties: {
    version: '17'
    createMode: 'Default'
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: 'Disabled'
      tenantId: tenant().tenantId
    }
    storage: {
      storageSizeGB: storage
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: 35
      geoRedundantBackup: 'Enabled'
    }
    highAvailability: {
      mode: 'ZoneRedundant'
    }
    network: {
      publicNetworkAccess: 'Disabled'
    }
    maintenanceWindow: {
      customWindow: 'Enabled'
      dayOfWeek: 0
      startHour: 3
      startMinute: 0
    }
  }
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2024-08-01' = {
  parent: server
  name: 'amplifier'
  properties: {
    charset: 'UTF8'
    collation: 'en_US.utf8'
  }
}

resource administrators 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: server
  name: administratorsId
  properties: {
    principalName: administratorsName
    principalType: 'Group'
    tenantId: tenant().tenantId
  }
  dependsOn: [database]
}

// it makes the roles and owns the tables
resource migrate 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: server
  name: migrateId
  properties: {
    principalName: migrateName
    principalType: 'ServicePrincipal'
    tenantId: tenant().tenantId
  }
  dependsOn: [administrators]
}

@batchSize(1)
resource configurations 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2024-08-01' = [
  for parameter in parameters: {
    parent: server
    name: parameter.name
    properties: {
      value: parameter.value
      source: 'user-override'
    }
    dependsOn: [migrate]
  }
]

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: '${name}-database'
  location: location
  properties: {
    subnet: {
      id: subnet
    }
    privateLinkServiceConnections: [
      {
        name: 'database'
        properties: {
          privateLinkServiceId: server.id
          groupIds: ['postgresqlServer']
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
        name: 'database'
        properties: {
          privateDnsZoneId: zone
        }
      }
    ]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: server
  name: 'logs'
  properties: {
    workspaceId: workspace
    logs: [
      {
        category: 'PostgreSQLLogs'
        enabled: true
      }
    ]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = {
  scope: server
  name: 'keep'
  properties: {
    level: 'CanNotDelete'
    notes: 'Deleting the server deletes its backups.'
  }
}

output id string = server.id
output host string = server.properties.fullyQualifiedDomainName
