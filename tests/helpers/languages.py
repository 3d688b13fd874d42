"""The same dozen questions and answers in five languages, written for the tests of rankings."""

ENGLISH = [
    ("Why is the sky blue?", "Sunlight is scattered by the air, and blue light is scattered much more than red light. That is why blue reaches our eyes from every part of the sky."),
    ("How do I boil an egg?", "Put the egg into boiling water and let it cook for about seven minutes. Then hold it under cold water so that the shell comes off easily."),
    ("What does a librarian do?", "A librarian orders books, keeps them in order and helps visitors to find what they are looking for. Many also organise readings for children."),
    ("Give me three tips for better sleep.", "Go to bed at the same time every evening. Do not look at your phone during the last hour, and keep the bedroom dark and cool."),
    ("What is the capital of France?", "The capital of France is Paris. The city lies on the river Seine and has a little more than two million inhabitants."),
    ("Explain what a bicycle is.", "A bicycle is a vehicle with two wheels that is driven by the strength of your legs. It has a saddle, handlebars, pedals and a chain."),
    ("How can I save water at home?", "Take a short shower instead of a bath and turn off the tap while you brush your teeth. Repair every tap that drips."),
    ("Why do leaves turn yellow in autumn?", "In autumn the days become shorter and the trees break down the green colour in their leaves. Then the yellow colours that were there all the time can be seen."),
    ("Write a short letter of thanks.", "Dear Anna, thank you very much for the beautiful evening at your house. The food was excellent and we laughed a lot. I hope to see you again soon."),
    ("What is a volcano?", "A volcano is a mountain from which hot molten rock comes out of the depths of the earth. When it erupts, ash and gases rise high into the air."),
    ("How do bees make honey?", "Bees collect the sweet juice of flowers and carry it into the hive. There they thicken it until it becomes honey, which they eat in winter."),
    ("Why should we read books?", "Books teach us how other people think and live. They train the memory, enlarge our vocabulary and give us quiet hours far away from the noise of the day."),
]  # fmt: skip
GERMAN = [
    ("Warum ist der Himmel blau?", "Das Sonnenlicht wird von der Luft gestreut, und blaues Licht wird viel stärker gestreut als rotes. Deshalb erreicht uns das Blau aus allen Richtungen des Himmels."),
    ("Wie koche ich ein Ei?", "Lege das Ei in kochendes Wasser und lass es etwa sieben Minuten lang kochen. Halte es danach unter kaltes Wasser, damit sich die Schale leicht löst."),
    ("Was macht eine Bibliothekarin?", "Eine Bibliothekarin bestellt Bücher, hält sie in Ordnung und hilft den Besuchern, das Gesuchte zu finden. Viele veranstalten auch Lesungen für Kinder."),
    ("Nenne mir drei Ratschläge für besseren Schlaf.", "Gehe jeden Abend zur gleichen Zeit ins Bett. Schau in der letzten Stunde nicht auf dein Telefon und halte das Schlafzimmer dunkel und kühl."),
    ("Was ist die Hauptstadt von Frankreich?", "Die Hauptstadt von Frankreich ist Paris. Die Stadt liegt an der Seine und hat etwas mehr als zwei Millionen Einwohner."),
    ("Erkläre, was ein Fahrrad ist.", "Ein Fahrrad ist ein Fahrzeug mit zwei Rädern, das durch die Kraft der Beine angetrieben wird. Es hat einen Sattel, einen Lenker, Pedale und eine Kette."),
    ("Wie kann ich zu Hause Wasser sparen?", "Dusche kurz, statt zu baden, und drehe den Hahn zu, während du dir die Zähne putzt. Repariere jeden Hahn, der tropft."),
    ("Warum werden die Blätter im Herbst gelb?", "Im Herbst werden die Tage kürzer und die Bäume bauen den grünen Farbstoff in ihren Blättern ab. Dann sieht man die gelben Farben, die schon immer da waren."),
    ("Schreibe einen kurzen Dankesbrief.", "Liebe Anna, vielen Dank für den schönen Abend bei dir zu Hause. Das Essen war ausgezeichnet und wir haben viel gelacht. Ich hoffe, dich bald wiederzusehen."),
    ("Was ist ein Vulkan?", "Ein Vulkan ist ein Berg, aus dem heißes, geschmolzenes Gestein aus der Tiefe der Erde austritt. Wenn er ausbricht, steigen Asche und Gase hoch in die Luft."),
    ("Wie machen Bienen Honig?", "Bienen sammeln den süßen Saft der Blüten und tragen ihn in den Stock. Dort dicken sie ihn ein, bis daraus Honig wird, von dem sie im Winter leben."),
    ("Warum sollten wir Bücher lesen?", "Bücher zeigen uns, wie andere Menschen denken und leben. Sie schulen das Gedächtnis, erweitern unseren Wortschatz und schenken uns ruhige Stunden fern vom Lärm des Tages."),
]  # fmt: skip
RUSSIAN = [
    ("Почему небо голубое?", "Солнечный свет рассеивается воздухом, и синий свет рассеивается гораздо сильнее красного. Поэтому голубой цвет приходит к нам со всех сторон неба."),
    ("Как сварить яйцо?", "Положите яйцо в кипящую воду и варите его около семи минут. Затем подержите его под холодной водой, чтобы скорлупа легко отделилась."),
    ("Чем занимается библиотекарь?", "Библиотекарь заказывает книги, следит за порядком и помогает посетителям найти то, что они ищут. Многие также проводят чтения для детей."),
    ("Дай три совета для хорошего сна.", "Ложитесь спать каждый вечер в одно и то же время. В последний час не смотрите в телефон, а в спальне пусть будет темно и прохладно."),
    ("Какой город является столицей Франции?", "Столица Франции — Париж. Город стоит на реке Сене, и в нём живёт немногим больше двух миллионов человек."),
    ("Объясни, что такое велосипед.", "Велосипед — это транспорт на двух колёсах, который приводится в движение силой ног. У него есть седло, руль, педали и цепь."),
    ("Как экономить воду дома?", "Принимайте короткий душ вместо ванны и закрывайте кран, пока чистите зубы. Чините каждый кран, из которого капает вода."),
    ("Почему осенью листья желтеют?", "Осенью дни становятся короче, и деревья разрушают зелёный краситель в листьях. Тогда становятся видны жёлтые цвета, которые были там всегда."),
    ("Напиши короткое благодарственное письмо.", "Дорогая Анна, большое спасибо за прекрасный вечер у тебя дома. Еда была отличной, и мы много смеялись. Надеюсь скоро увидеть тебя снова."),
    ("Что такое вулкан?", "Вулкан — это гора, из которой из глубины земли выходит горячая расплавленная порода. При извержении пепел и газы поднимаются высоко в воздух."),
    ("Как пчёлы делают мёд?", "Пчёлы собирают сладкий сок цветов и несут его в улей. Там они сгущают его, пока он не превратится в мёд, которым они питаются зимой."),
    ("Зачем читать книги?", "Книги показывают нам, как думают и живут другие люди. Они тренируют память, расширяют словарный запас и дарят тихие часы вдали от шума дня."),
]  # fmt: skip
CHINESE = [
    ("天空为什么是蓝色的？", "阳光被空气散射，而蓝光比红光散射得强得多。因此，蓝色的光从天空的各个方向进入我们的眼睛。"),
    ("怎样煮鸡蛋？", "把鸡蛋放进沸水里，煮大约七分钟。然后用冷水冲一冲，这样蛋壳就容易剥下来。"),
    ("图书管理员做什么工作？", "图书管理员订购图书，整理书架，并帮助读者找到他们需要的书。许多人还为孩子们组织读书活动。"),
    ("请给我三条改善睡眠的建议。", "每天晚上在同一时间上床睡觉。睡前一小时不要看手机，并让卧室保持黑暗和凉爽。"),
    ("法国的首都是哪里？", "法国的首都是巴黎。这座城市位于塞纳河畔，有两百多万居民。"),
    ("请解释什么是自行车。", "自行车是一种有两个轮子的交通工具，靠腿的力量前进。它有车座、车把、脚踏板和链条。"),
    ("在家里怎样节约用水？", "用短时间的淋浴代替泡澡，刷牙的时候关上水龙头。把每一个漏水的水龙头都修好。"),
    ("秋天树叶为什么变黄？", "秋天白天变短，树木分解叶子里的绿色色素。这时，一直存在的黄色就显现出来了。"),
    ("写一封简短的感谢信。", "亲爱的安娜，非常感谢你在家里为我们准备的美好夜晚。饭菜非常好吃，我们笑得很开心。希望很快能再见到你。"),
    ("什么是火山？", "火山是一种山，炽热的熔岩从地球深处由此喷出。火山爆发时，火山灰和气体会升到高空。"),
    ("蜜蜂怎样酿蜜？", "蜜蜂采集花朵的甜汁，带回蜂巢。它们在那里把汁液变浓，直到成为蜂蜜，冬天就靠它生活。"),
    ("我们为什么要读书？", "书籍告诉我们别人怎样思考和生活。它们锻炼记忆力，丰富词汇，并给我们远离喧闹的安静时光。"),
]  # fmt: skip
TURKISH = [
    ("Gökyüzü neden mavidir?", "Güneş ışığı hava tarafından saçılır ve mavi ışık kırmızı ışıktan çok daha fazla saçılır. Bu yüzden mavi renk gözümüze gökyüzünün her yanından ulaşır."),
    ("Yumurta nasıl haşlanır?", "Yumurtayı kaynayan suya koyun ve yaklaşık yedi dakika pişirin. Sonra kabuğunun kolayca soyulması için soğuk suyun altında tutun."),
    ("Kütüphaneci ne iş yapar?", "Kütüphaneci kitap sipariş eder, onları düzende tutar ve ziyaretçilerin aradıklarını bulmasına yardım eder. Birçoğu çocuklar için okuma günleri de düzenler."),
    ("Daha iyi uyumak için üç öneri ver.", "Her akşam aynı saatte yatağa girin. Son bir saat içinde telefonunuza bakmayın ve yatak odasını karanlık ve serin tutun."),
    ("Fransa'nın başkenti neresidir?", "Fransa'nın başkenti Paris'tir. Şehir Sen nehrinin kıyısında yer alır ve iki milyondan biraz fazla nüfusu vardır."),
    ("Bisikletin ne olduğunu açıkla.", "Bisiklet, bacakların gücüyle hareket eden iki tekerlekli bir araçtır. Selesi, gidonu, pedalları ve zinciri vardır."),
    ("Evde nasıl su tasarrufu yapabilirim?", "Banyo yerine kısa bir duş alın ve dişlerinizi fırçalarken musluğu kapatın. Damlatan her musluğu tamir edin."),
    ("Yapraklar sonbaharda neden sararır?", "Sonbaharda günler kısalır ve ağaçlar yapraklarındaki yeşil boyayı parçalar. O zaman hep orada olan sarı renkler görünür hale gelir."),
    ("Kısa bir teşekkür mektubu yaz.", "Sevgili Ayşe, evindeki güzel akşam için çok teşekkür ederim. Yemekler harikaydı ve çok güldük. Umarım seni yakında yine görürüm."),
    ("Yanardağ nedir?", "Yanardağ, yerin derinliklerinden sıcak erimiş kayaların çıktığı bir dağdır. Patladığında kül ve gazlar havaya doğru yükselir."),
    ("Arılar balı nasıl yapar?", "Arılar çiçeklerin tatlı özünü toplar ve kovana taşır. Orada onu bala dönüşene kadar koyulaştırırlar ve kışın bununla beslenirler."),
    ("Neden kitap okumalıyız?", "Kitaplar bize başka insanların nasıl düşündüğünü ve yaşadığını gösterir. Belleği çalıştırır, kelime dağarcığımızı genişletir ve günün gürültüsünden uzak sessiz saatler sunar."),
]  # fmt: skip
SETS = {"en": ENGLISH, "de": GERMAN, "ru": RUSSIAN, "zh": CHINESE, "tr": TURKISH}


def rows_in(language, times=1):
    """The questions and answers of a language as rows, each ``times`` times with a number that makes it different."""
    pairs = SETS[language]
    return [
        {"question": f"{asked} ({number})" if times > 1 else asked, "answer": f"{number}. {answer}" if times > 1 else answer}
        for number in range(1, times + 1)
        for asked, answer in pairs
    ]
