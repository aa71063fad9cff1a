// Alerts of the service and of the database, and a test of availability from three places.
param name string
param location string
param address string
param database string
param connections int
param app string
param host string
param component string
param workspace string

// metric, its namespace, what it is compared with: one alert for each
var metrics = [
  {
    name: 'requests-fail'
    description: 'More than 20 answers with 5xx in five minutes'
    scope: app
    metric: 'Requests'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 20
    severity: 1
    dimensions: [
      {
        name: 'statusCodeCategory'
        operator: 'Include'
        values: ['5xx']
      }
    ]
  }
  {
    name: 'replicas-restart'
    description: 'A replica restarted more than three times'
    scope: app
    metric: 'RestartCount'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 3
    severity: 2
    dimensions: []
  }
  {
    name: 'database-down'
    description: 'The database does not answer'
    scope: database
    metric: 'is_db_alive'
    aggregation: 'Maximum'
    operator: 'LessThan'
    threshold: 1
    severity: 0
    dimensions: []
  }
  {
    name: 'database-storage'
    description: 'The storage is nearly full: enlarge it, or delete old sessions'
    scope: database
    metric: 'storage_percent'
    aggregation: 'Average'
    operator: 'GreaterThan'
    threshold: 85
    severity: 1
    dimensions: []
  }
  {
    name: 'database-cpu'
    description: 'The database is busy: look at its queries (amplifier-api queries top), or take a larger SKU'
    scope: database
    metric: 'cpu_percent'
    aggregation: 'Average'
    operator: 'GreaterThan'
    threshold: 80
    severity: 2
    dimensions: []
  }
  {
    name: 'database-connections'
    description: 'More connections than all replicas of the service open'
    scope: database
    metric: 'active_connections'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: connections + 30
    severity: 2
    dimensions: []
  }
]

resource receivers 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: name
  location: 'global'
  properties: {
    groupShortName: take(name, 12)
    enabled: true
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource metricAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for one in metrics: {
    name: '${name}-${one.name}'
    location: 'global'
    properties: {
      description: one.description
      severity: one.severity
      enabled: true
      scopes: [one.scope]
      evaluationFrequency: 'PT1M'
      windowSize: 'PT5M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: one.name
            metricName: one.metric
            dimensions: one.dimensions
            operator: one.operator
            threshold: one.threshold
            timeAggregation: one.aggregation
          }
        ]
      }
      actions: [
        {
          actionGroupId: receivers.id
        }
      ]
    }
  }
]

resource slow 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = {
  name: '${name}-requests-slow'
  location: location
  properties: {
    description: '5 % of the requests took longer than a second'
    severity: 2
    enabled: true
    scopes: [workspace]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      allOf: [
        {
          // streams last as long as their clients want
          query: 'AppRequests | where Name !has "/events" and Name !has "/stream" | summarize p95 = percentile(DurationMs, 95), n = count() | where n > 20'
          timeAggregation: 'Maximum'
          metricMeasureColumn: 'p95'
          operator: 'GreaterThan'
          threshold: 1000
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [receivers.id]
    }
  }
}

resource availability 'Microsoft.Insights/webtests@2022-06-15' = {
  name: '${name}-availability'
  location: location
  kind: 'standard'
  tags: {
    'hidden-link:${component}': 'Resource'
  }
  properties: {
    SyntheticMonitorId: '${name}-availability'
    Name: '${name}-availability'
    Enabled: true
    Kind: 'standard'
    Frequency: 300
    Timeout: 30
    RetryEnabled: true
    Locations: [
      {
        Id: 'emea-nl-ams-azr'
      }
      {
        Id: 'us-va-ash-azr'
      }
      {
        Id: 'apac-sg-sin-azr'
      }
    ]
    Request: {
      RequestUrl: 'https://${host}/health/ready'
      HttpVerb: 'GET'
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
    }
  }
}

resource unavailable 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${name}-unavailable'
  location: 'global'
  properties: {
    description: 'The service is not ready, seen from two places'
    severity: 0
    enabled: true
    scopes: [availability.id, component]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: availability.id
      componentId: component
      failedLocationCount: 2
    }
    actions: [
      {
        actionGroupId: receivers.id
      }
    ]
  }
}
