# Results that came without .snakemake, or under another config than they were made by. Snakemake tells what made a file
# by what it keeps in .snakemake, or by nothing; the record beside its log goes where the results go.


def held_to_its_record(made):
    """An input function that gives no input. A job of the DAG whose files were made by another spec or other code is
    forced, as by --forcerun; --touch accepts what is there."""

    def held(w):
        # a job that another Snakemake has started was told what to make; who asks for no params to count, gets none
        asked = {trigger.name for trigger in workflow.dag_settings.rerun_triggers}
        log = apply_wildcards(made.log[0], w)
        if not workflow.is_main_process or "PARAMS" not in asked or not lineage.record_of(log).is_file():
            return []
        today = {key: value(w) if callable(value) else value for key, value in made.params.items()}
        if other := lineage.made_otherwise(log, today.get("spec"), today["code"]):
            outputs = [apply_wildcards(path, w) for path in made.output]
            if workflow.touch:
                lineage.accept(log, today.get("spec"), today["code"])
            elif any(map(os.path.exists, outputs)) and not workflow.dag.forcefiles.issuperset(outputs):
                print(f"{outputs[0]} was made by another config or code ({other}): it is made again", file=sys.stderr)
                workflow.dag.forcefiles.update(outputs)
        return []

    return held


for made_ in list(workflow.rules):
    if made_.output and made_.log and "code" in made_.params.keys():
        made_.set_input(held_to_its_record(made_))
