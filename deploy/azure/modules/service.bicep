// The environment of Container Apps and the service. `settings` is also what the jobs work with.
param name string
param location string
param image string
param registry string
param allowedHosts string
param databaseHost string
param vaultUrl string
param identity string
param identityClient string
param identityName string
param subnet string
param workspace string
param maxReplicas int
param poolSize int

var settings = {
  ALLOWED_HOSTS: allowedHosts
  APP_INSIGHTS_CONNECTION_STRING: 'keyvault:app-insights'
  AUTH_REQUIRED: 'true'
  CONFIG_ENCRYPTION_KEY: 'keyvault:config-encryption-key'
  DATABASE_AUTH: 'entra'
  DATABASE_HOST: databaseHost
  DATABASE_NAME: 'amplifier'
  DATABASE_POOL_MAX_SIZE: string(poolSize)
  DATABASE_SSL_MODE: 'verify-full'
  // the addresses of the environment's own proxies
  FORWARDED_ALLOW_IPS: '100.100.0.0/16'
  KEY_VAULT_URL: vaultUrl
  LOG_FORMAT: 'json'
  RATE_LIMIT_REQUESTS_PER_MINUTE: '600'
  SECRET_KEY: 'keyvault:secret-key'
  SHUTDOWN_DELAY: '10'
  SHUTDOWN_GRACE: '20'
}
var serviceSettings = union(settings, {
  AZURE_CLIENT_ID: identityClient
  DATABASE_USER: identityName
})
var variables = [for setting in items(serviceSettings): { name: setting.key, value: setting.value }]

resource environment 'Microsoft.App/managedEnvironments@2025-01-01' = {
  name: name
  location: location
  properties: {
    zoneRedundant: true
    vnetConfiguration: {
      infrastructureSubnetId: subnet
      internal: false
    }
    appLogsConfiguration: {
      destination: 'azure-monitor'
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: environment
  name: 'logs'
  properties: {
    workspaceId: workspace
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource app 'Microsoft.App/containerApps@2025-01-01' = {
  name: '${name}-api'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity}': {}
    }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: true
        targetPort: 8765
        transport: 'http'
        allowInsecure: false
        traffic: [
          {
            latestRevision: true
            weight: 100
          }
        ]
      }
      registries: [
        {
          server: registry
          identity: identity
        }
      ]
    }
    template: {
      // more than SHUTDOWN_DELAY and SHUTDOWN_GRACE
      terminationGracePeriodSeconds: 45
      containers: [
        {
          name: 'api'
          image: image
          args: ['serve']
          env: variables
          resources: {
            cpu: json('1.0')
            memory: '2Gi'
          }
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/health/live'
                port: 8765
              }
              periodSeconds: 2
              failureThreshold: 30
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/health/live'
                port: 8765
              }
              periodSeconds: 10
              timeoutSeconds: 5
              failureThreshold: 3
            }
            {
              type: 'Readiness'
              httpGet: {
                path: '/health/ready'
                port: 8765
              }
              periodSeconds: 5
              timeoutSeconds: 5
              failureThreshold: 2
            }
          ]
        }
      ]
      scale: {
        minReplicas: 2
        maxReplicas: maxReplicas
        rules: [
          {
            name: 'cpu'
            custom: {
              type: 'cpu'
              metadata: {
                type: 'Utilization'
                value: '60'
              }
            }
          }
        ]
      }
    }
  }
}

output app string = app.id
output host string = app.properties.configuration.ingress.fqdn
output environment string = environment.id
output settings object = settings
