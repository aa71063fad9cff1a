-- depends: 0034-application_keys-create
-- An application's own rate limit stands in its settings. Not validated: what is there already may be anything, and then counts as none.
set local lock_timeout = '5s';

create function request_limit(settings jsonb) returns integer
language sql immutable parallel safe
return case
    when settings @? 'strict $.rate_limit_requests_per_minute ? (@.type() == "number" && @ >= 0 && @ <= 1000000 && @ == @.floor())'
        then (settings ->> 'rate_limit_requests_per_minute')::numeric::integer
end;

alter table applications
add constraint applications_settings_request_limit_check
check (not settings ? 'rate_limit_requests_per_minute' or request_limit(settings) is not null) not valid;
