"""`minift predict` and `minift fill-mask`: what a trained model says."""

import logging
from argparse import ArgumentParser, Namespace

from minift.cli.heads import answers_of
from minift.cli.opening import UNTRAINED, open_data, open_pipeline, read_items
from minift.cli.paths import check_data, check_model
from minift.metrics.glue import GLUE

logger = logging.getLogger(__name__)


def predict(parser: ArgumentParser) -> None:
    parser.add_argument("data", nargs="?", help="a file of texts (.csv .tsv .json .jsonl .parquet .txt, also .gz)")
    parser.add_argument("--model", required=True, help="folder or Hub name of a fine-tuned model")
    parser.add_argument("--text", help="the text, or the first of a pair")
    parser.add_argument("--text_pair", help="the second text of a pair")
    parser.add_argument("--file", help='the same; - reads JSON lines, {"text": …, "text_pair": …}, from standard input')
    parser.add_argument("--dataset", help="a data set on the Hub or in a folder, of which --split is read")
    parser.add_argument("--config", help="its configuration, such as mrpc; with --output FILE.tsv in GLUE's format")
    parser.add_argument("--split", default="test", help="its split [test]")
    parser.add_argument("--text_columns", nargs="*", help="one or two columns to read [those that it was trained on]")
    parser.add_argument("--encoding", help="of a file of text, such as latin-1 [UTF-8]")
    parser.add_argument("--output", help="file to write, of any of these kinds [JSON lines, to standard output]")
    parser.add_argument("--all_scores", action="store_true", help="the score of every class, not of the best alone")
    parser.add_argument("--handle_impossible_answer", action="store_true", help="a question may have no answer")
    parser.add_argument("--batch_size", type=int, default=8, help="texts in a batch [8]")
    parser.add_argument("--device", help="what to compute on: cpu, cuda [a GPU if there is one]")
    parser.add_argument("--untrained", action="store_true", help=UNTRAINED)

    def run(options: Namespace) -> None:
        path = options.data or options.file or options.dataset
        if sum(one is not None for one in (options.data, options.file, options.text, options.dataset)) != 1:
            raise ValueError("name a file, a text (--text) or a data set (--dataset), and one of them only")
        if path is not None and options.text_pair is not None:
            raise ValueError("--text_pair goes with --text; in a file, the second text is a column (--text_columns)")
        check_model(options.model)
        check_data([path] if path not in (None, "-") else [])
        if (by_head := answers_of(options.model)) is not None:
            by_head(options, path)
            return

        from minift.tasks import predict as task

        is_glue = options.dataset is not None and options.config in GLUE
        if options.output is not None:
            task.check_destination(options.output, path or "")
        if path not in (None, "-"):
            rows = open_data(options, path)
            given = options.text_columns or (GLUE[options.config].text_columns if is_glue else None)
            columns = task.text_columns_of(rows, options.model, given and list(given))
        classify = open_pipeline("text-classification", options, batch_size=options.batch_size, truncation=True)
        if path is None:
            answers = classify([{"text": options.text, "text_pair": options.text_pair}], top_k=None)[0]
            for answer in answers if options.all_scores else answers[:1]:
                print(f"{answer['label']}  {answer['score']:.4f}")
            return
        if path == "-":
            from minift.data.dataset import Dataset

            rows, columns = Dataset.from_list(list(read_items(path))), ["text"]
            columns += ["text_pair"] if "text_pair" in rows.column_names else []
        answered = task.predict_rows(classify, rows, columns, options.all_scores)
        if options.output is None:
            for row in answered:
                print(task.json_line(row))
        elif is_glue and options.output.endswith(".tsv"):
            task.write_glue(answered, options.output, classify.model.config.problem_type == "regression")
            print(f"wrote   {options.output}: {len(answered):,} predictions, in GLUE's format")
        else:
            task.write_rows(answered, options.output)
            print(f"wrote   {options.output}: {len(answered):,} rows, from {' and '.join(columns)}")
        if "predicted_label" in answered.column_names and not is_glue:  # whose test sets hide their labels
            right = sum(str(a) == str(b) for a, b in zip(answered["label"], answered["predicted_label"], strict=True))
            logger.info("scores  %.1f %% of the labels in the file are predicted", 100 * right / len(answered))

    parser.set_defaults(run=run)


def fill_mask(parser: ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="folder or Hub name of a masked language model")
    parser.add_argument("text", help='the text, such as "This is a great [MASK]."')
    parser.add_argument("--top_k", type=int, default=5, help="how many tokens to print [5]")
    parser.add_argument("--device", help="what to compute on: cpu, cuda [a GPU if there is one]")
    parser.add_argument("--untrained", action="store_true", help=UNTRAINED)

    def run(options: Namespace) -> None:
        check_model(options.model)
        answers = open_pipeline("fill-mask", options)(options.text, top_k=options.top_k)
        masks = answers if isinstance(answers[0], list) else [answers]
        for number, best in enumerate(masks, 1):
            if len(masks) > 1:
                print(f"mask {number}")
            for answer in best:
                print(f"{answer['score']:.4f}  {answer['token_str']:<12}  {answer['sequence']}")

    parser.set_defaults(run=run)
