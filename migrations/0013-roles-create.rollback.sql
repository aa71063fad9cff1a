set local lock_timeout = '5s';

revoke all on all tables in schema public from amplifier_app, amplifier_readonly;

revoke all on schema public from amplifier_app, amplifier_readonly;

-- other databases of the server may still need them
do $$
begin
    drop role amplifier_app, amplifier_readonly;
exception
    when dependent_objects_still_exist or insufficient_privilege or object_in_use then
        raise notice 'the roles amplifier_app and amplifier_readonly stay: %', sqlerrm;
end
$$;
