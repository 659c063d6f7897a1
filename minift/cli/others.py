"""`minift demo`, `minift crosscheck` and `minift run`."""

from argparse import REMAINDER, ArgumentParser, Namespace

from minift.cli.flags import add_flags, read_flags


def demo(parser: ArgumentParser) -> None:
    from minift.demo.demo import demo

    add_flags(parser, demo)

    def run(options: Namespace) -> None:
        demo(**read_flags(demo, options))

    parser.set_defaults(run=run)


def crosscheck(parser: ArgumentParser) -> None:
    from minift.crosscheck.job import Job

    if parser.takes_script:
        crosscheck_script(parser)
        return
    add_flags(parser, Job)
    parser.add_argument("--json", help="file to write the comparison to, for programs")

    def run(options: Namespace) -> int:
        from minift.crosscheck.report import crosscheck

        return 0 if crosscheck(Job(**read_flags(Job, options)), options.json) else 1

    parser.set_defaults(run=run)


def crosscheck_script(parser: ArgumentParser) -> None:
    parser.add_argument("script", help="the script to run on both sides; options for crosscheck stand before it")
    parser.add_argument("args", nargs=REMAINDER, help="the script's own arguments")
    parser.add_argument("--steps", type=int, default=0, help="optimizer steps after which both are stopped [0: none]")
    parser.add_argument("--json", help="file to write the comparison to, for programs")

    def run(options: Namespace) -> int:
        from minift.crosscheck.script import crosscheck_script

        same = crosscheck_script(options.script, options.args, options.steps, options.json)
        return 0 if same else 1

    parser.set_defaults(run=run)


def run(parser: ArgumentParser) -> None:
    from minift.libraries.run import run

    parser.add_argument("script", help="the file to run")
    parser.add_argument("args", nargs=REMAINDER, help="the script's own arguments")
    parser.set_defaults(run=lambda options: run(options.script, options.args))
